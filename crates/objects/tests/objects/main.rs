//! The object layer over a cluster in memory: the real state machines and the reference
//! shard store, with faults on demand.

mod bounds;
mod bucket_configs;
mod buckets;
mod classes;
mod conditions;
mod failing_bodies;
mod faults;
mod locks;
mod multipart;
mod ranges;
mod real_clients;
mod rename;
mod round_trips;
mod support;
mod transition;
mod versions;
