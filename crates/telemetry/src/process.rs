//! What the process costs, by the names that Prometheus clients agree on. Read from `/proc` at
//! each scrape; on systems without it there are no such metrics.
//!
//! `process_cpu_seconds_total` has the type gauge here, because this library's counters are
//! whole numbers; `rate()` works on it all the same.

use std::fs;

use metrics::{describe_gauge, gauge};

/// Ticks a second in `/proc/self/stat`: `USER_HZ`, which Linux fixes at 100 on every
/// architecture that we build for.
const TICKS_PER_S: f64 = 100.0;

/// Takes note of the process's figures.
pub(crate) fn record() {
    if let Some(seconds) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(cpu_s) {
        gauge!("process_cpu_seconds_total").set(seconds);
    }
    if let Some(bytes) =
        fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident_bytes)
    {
        gauge!("process_resident_memory_bytes").set(bytes);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        gauge!("process_open_fds").set(files.count() as f64);
    }
}

/// Says what the metrics mean; once.
pub(crate) fn describe() {
    describe_gauge!("process_cpu_seconds_total", "User and system CPU time of the process");
    describe_gauge!("process_resident_memory_bytes", "Resident memory of the process");
    describe_gauge!("process_open_fds", "Open file descriptors of the process");
}

/// User and system time from `/proc/self/stat`: fields 14 and 15. The second field, the name in
/// parentheses, may hold anything, so the fields are counted from its end.
fn cpu_s(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((user + system) as f64 / TICKS_PER_S)
}

/// Resident memory from `/proc/self/status`.
fn resident_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some((kib * 1024) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_found_whatever_the_name_of_the_process() {
        let stat = "42 (a ) b) S 1 42 42 0 -1 4194560 900 0 0 0 250 150 0 0 20 0 8 0 100 1 2";
        assert_eq!(cpu_s(stat), Some(4.0));
        assert_eq!(cpu_s("42 (short) S 1"), None);
        assert_eq!(
            resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"),
            Some(2_097_152.0)
        );
        assert_eq!(resident_bytes("Name:\tx\n"), None);
    }
}
