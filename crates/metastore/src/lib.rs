//! Replicated metadata: what the root group and the index partitions hold, the
//! rows it lies in, and the service of a metadata node.
//!
//! Reading order: [`api`] (commands, queries and their answers).

pub mod api;
