//! The process's metrics as Prometheus text.
//!
//! Every crate names its metrics in its own `metrics.rs`. The unit is the end of the name and
//! decides the buckets of a histogram: `_seconds`, `_bytes`, anything else is a count.

use std::{sync::OnceLock, thread, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::process;

/// From an fsync of a fast disk to the deadline of a slow client.
const SECONDS: [f64; 17] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 15.0, 60.0,
];

/// Powers of four from 256 bytes to 4 GiB.
const BYTES: [f64; 13] = [
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
];

/// Sizes of batches and queues.
const COUNTS: [f64; 12] =
    [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0];

/// How often samples of histograms are counted into their buckets. They take memory until
/// then: at 100,000 samples a second, 4 MB.
const UPKEEP: Duration = Duration::from_secs(5);

static INSTALLED: OnceLock<MetricsHandle> = OnceLock::new();

/// The registry of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct MetricsHandle(PrometheusHandle);

impl MetricsHandle {
    /// All metrics in the Prometheus text format, version 0.0.4, with the process's CPU time,
    /// memory and open files as they are now.
    pub fn render(&self) -> String {
        process::record();
        self.0.render()
    }
}

/// Makes this process count: without it, the calls of `metrics` do nothing. Every call gives
/// the same registry, so that the tests of one process share it. If other code installed a
/// recorder of its own, ours stays empty.
pub fn install() -> MetricsHandle {
    INSTALLED.get_or_init(first_install).clone()
}

fn first_install() -> MetricsHandle {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::error!("another metrics recorder is installed in this process; ours stays empty");
    }
    process::describe();
    let upkeep = handle.clone();
    let spawned = thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(move || {
        loop {
            thread::sleep(UPKEEP);
            upkeep.run_upkeep();
        }
    });
    if let Err(error) = spawned {
        tracing::error!(%error, "cannot start the metrics thread; each scrape does its work");
    }
    MetricsHandle(handle)
}

fn builder() -> PrometheusBuilder {
    let why = "the lists above are not empty";
    PrometheusBuilder::new()
        .set_buckets(&COUNTS)
        .expect(why)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .expect(why)
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES)
        .expect(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_installs_share_one_registry_with_buckets_by_unit() {
        let first = install();
        let second = install();
        metrics::describe_counter!("test_requests_total", "Requests served");
        metrics::counter!("test_requests_total", "operation" => "GetObject").increment(3);
        metrics::gauge!("test_disk_used_bytes", "disk" => "d1").set(12.0);
        metrics::histogram!("test_request_seconds").record(0.003);
        metrics::histogram!("test_body_bytes").record(5000.0);
        metrics::histogram!("test_batch_commands").record(100.0);
        let text = second.render();
        for line in [
            "# HELP test_requests_total Requests served",
            "# TYPE test_requests_total counter",
            "test_requests_total{operation=\"GetObject\"} 3",
            "test_disk_used_bytes{disk=\"d1\"} 12",
            "test_request_seconds_bucket{le=\"0.0025\"} 0",
            "test_request_seconds_bucket{le=\"0.005\"} 1",
            "test_request_seconds_count 1",
            "test_body_bytes_bucket{le=\"4096\"} 0",
            "test_body_bytes_bucket{le=\"16384\"} 1",
            "test_batch_commands_bucket{le=\"64\"} 0",
            "test_batch_commands_bucket{le=\"128\"} 1",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} in\n{text}");
        }
        let count = |text: &str| text.lines().filter(|line| line.starts_with("test_")).count();
        assert_eq!(count(&first.render()), count(&text));
        for name in ["process_cpu_seconds_total", "process_resident_memory_bytes"] {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            assert!(line.is_some_and(|value| value.parse::<f64>().is_ok()), "{name} in\n{text}");
        }
    }

    #[test]
    fn buckets_rise() {
        assert!(SECONDS.is_sorted() && BYTES.is_sorted() && COUNTS.is_sorted());
    }
}
