//! The S3 API end to end in one process: the official client and hand-made HTTP requests
//! over loopback TCP, the real edge, protocol and object layers, a cluster in memory.

mod auth;
mod buckets;
mod chunked;
mod edge;
mod faults;
mod listing;
mod multipart;
mod objects_api;
mod raw;
mod support;
