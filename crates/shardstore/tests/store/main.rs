//! One binary for all tests that need a real store: linking RocksDB once is enough.

mod conformance;
mod crash;
mod damage;
mod full;
mod model;
mod node;
mod open;
mod reclaim;
mod support;
