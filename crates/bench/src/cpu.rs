//! CPU time of server processes, from the kernel's accounting.

/// User and system seconds of the processes so far; those that are gone count nothing.
pub(crate) fn seconds(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| ticks(*pid)).sum::<u64>() as f64 / TICKS_PER_SECOND
}

/// The unit of `/proc/PID/stat` on Linux for every architecture that matters here (USER_HZ).
const TICKS_PER_SECOND: f64 = 100.0;

fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold spaces: fields are counted after its closing bracket.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(field(14)? + field(15)?)
}

#[cfg(test)]
mod tests {
    /// The kernel counts in hundredths of a second: spin until the first one shows.
    #[test]
    fn this_process_uses_some() {
        let me = [std::process::id()];
        let mut spin = 1u64;
        for _ in 0..10_000 {
            if super::seconds(&me) > 0.0 {
                break;
            }
            for n in 0..1_000_000u64 {
                spin = std::hint::black_box(spin.wrapping_mul(31).wrapping_add(n));
            }
        }
        assert!(super::seconds(&me) > 0.0, "spun to {spin}");
        assert!(super::seconds(&[u32::MAX]).abs() < 1e-9);
    }
}
