//! No code: the manifest pins the features of what RocksDB's build script needs,
//! so that RocksDB is built once whichever crates are selected.
