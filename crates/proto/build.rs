//! Turns `/proto` into Rust with protox, so that building needs no protoc.

use std::{env, path::PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = ["raft", "meta", "shards"].map(|name| format!("shardlake/v1/{name}.proto"));
    for file in &files {
        println!("cargo:rerun-if-changed={}", root.join(file).display());
    }
    let descriptors = protox::compile(&files, [&root])?;
    tonic_prost_build::configure()
        .bytes(".")
        .codec_path("crate::codec::ExactCodec")
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
