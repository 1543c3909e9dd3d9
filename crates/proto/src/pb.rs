//! What build.rs generates from `/proto`.

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/shardlake.v1.rs"));
