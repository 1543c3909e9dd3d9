//! The S3 API end to end in one process: the official client and hand-made HTTP requests
//! over loopback TCP, the real edge, protocol and object layers, a cluster in memory.

mod auth;
mod buckets;
mod checksums;
mod chunked;
mod conditions;
mod cors;
mod edge;
mod faults;
mod lifecycle;
mod listing;
mod logging;
mod multipart;
mod notification;
mod object_lock;
mod objects_api;
mod operations;
mod parts;
mod post_form;
mod ranges;
mod raw;
mod storage_classes;
mod support;
mod tagging;
mod versioning;
mod website;
