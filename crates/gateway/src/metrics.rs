//! Names, units and labels of this crate's metrics.
//!
//! Label `operation`: the S3 operation as AWS names it (and `PostObject`, `Preflight` and
//! `Website`), or the service's name, or `unknown` for a request that was refused before it
//! was known. Label `class`: `2xx` ... `5xx`.

use std::time::Duration;

/// Requests answered. Labels: operation, class.
pub const REQUESTS: &str = "shardlake_gateway_requests_total";
/// From the request's head to the response's head. Labels: operation, class.
pub const SECONDS: &str = "shardlake_gateway_request_seconds";
/// Bytes of request bodies.
pub const BYTES_IN: &str = "shardlake_gateway_in_bytes_total";
/// Bytes of response bodies.
pub const BYTES_OUT: &str = "shardlake_gateway_out_bytes_total";
/// Requests whose response is not yet sent to its end.
pub const IN_FLIGHT: &str = "shardlake_gateway_in_flight_requests";
/// Open connections.
pub const CONNECTIONS: &str = "shardlake_gateway_connections";
/// Panics that were answered with 500.
pub const PANICS: &str = "shardlake_gateway_panics_total";

/// Describes all of them to the installed recorder.
pub(crate) fn describe() {
    metrics::describe_counter!(REQUESTS, "Requests answered");
    metrics::describe_histogram!(SECONDS, "Time until the head of the response");
    metrics::describe_counter!(BYTES_IN, "Bytes of request bodies");
    metrics::describe_counter!(BYTES_OUT, "Bytes of response bodies");
    metrics::describe_gauge!(IN_FLIGHT, "Requests whose response is not yet sent to its end");
    metrics::describe_gauge!(CONNECTIONS, "Open connections");
    metrics::describe_counter!(PANICS, "Panics that were answered with 500");
}

/// Counts an answered request.
pub(crate) fn answered(operation: &str, status: http::StatusCode, time: Duration) {
    let class = match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    };
    let operation = operation.to_owned();
    metrics::counter!(REQUESTS, "operation" => operation.clone(), "class" => class).increment(1);
    metrics::histogram!(SECONDS, "operation" => operation, "class" => class).record(time);
}
