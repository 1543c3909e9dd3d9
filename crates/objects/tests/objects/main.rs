//! The object layer over a cluster in memory: the real state machines and the reference
//! shard store, with faults on demand.

mod bounds;
mod buckets;
mod conditions;
mod failing_bodies;
mod faults;
mod multipart;
mod ranges;
mod real_clients;
mod round_trips;
mod support;
