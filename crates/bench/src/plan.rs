//! What is done: phases, each one operation at one size and one concurrency.

use std::{fmt, time::Duration};

use serde::Serialize;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs, reason = "the names say it")]
pub(crate) enum Operation {
    Put,
    Get,
    List,
}

/// One operation at one size and concurrency, bounded in time and bytes.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Phase {
    /// The operation.
    pub(crate) operation: Operation,
    /// Bytes an object; for a listing, of the objects that are listed.
    pub(crate) object_bytes: u64,
    /// Requests under way at once.
    pub(crate) concurrency: usize,
    /// The phase ends after this time ...
    pub(crate) time_max: Duration,
    /// ... or after this many bytes.
    pub(crate) bytes_max: u64,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} x{}", self.operation, size_text(self.object_bytes), self.concurrency)
    }
}

/// All phases in order.
pub(crate) struct Plan(Vec<Phase>);

impl Plan {
    /// PUT then GET at every size and concurrency, then LIST over the smallest objects.
    pub(crate) fn new(
        sizes: &[String],
        concurrency: &[usize],
        seconds: f64,
        bytes_max: u64,
    ) -> anyhow::Result<Self> {
        let sizes: Vec<u64> =
            sizes.iter().map(|text| parse_size(text)).collect::<Result<_, _>>()?;
        let time_max = Duration::try_from_secs_f64(seconds)?;
        let phase = |operation, object_bytes, concurrency| Phase {
            operation,
            object_bytes,
            concurrency,
            time_max,
            bytes_max,
        };
        let mut phases = Vec::new();
        for &size in &sizes {
            for &concurrency in concurrency {
                phases.push(phase(Operation::Put, size, concurrency));
                phases.push(phase(Operation::Get, size, concurrency));
            }
        }
        let smallest = sizes.iter().copied().min().unwrap_or(4096);
        phases.extend(concurrency.iter().map(|&c| phase(Operation::List, smallest, c)));
        Ok(Self(phases))
    }

    /// The phases.
    pub(crate) fn phases(&self) -> &[Phase] {
        &self.0
    }
}

/// `4KiB`, `1MiB`, `2GiB` or plain bytes.
fn parse_size(text: &str) -> anyhow::Result<u64> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, unit) = units
        .iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, *unit)))
        .unwrap_or((text, 1u64));
    let number: u64 = number
        .parse()
        .map_err(|_| anyhow::anyhow!("size {text:?}: write a number and KiB, MiB or GiB"))?;
    number
        .checked_mul(unit)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| anyhow::anyhow!("size {text:?} is out of range"))
}

/// Bytes as people write them.
pub(crate) fn size_text(bytes: u64) -> String {
    match bytes {
        b if b % (1 << 20) == 0 => format!("{} MiB", b >> 20),
        b if b % (1 << 10) == 0 => format!("{} KiB", b >> 10),
        b => format!("{b} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4KiB").expect("fine"), 4096);
        assert_eq!(parse_size("64MiB").expect("fine"), 64 << 20);
        assert_eq!(parse_size("17").expect("fine"), 17);
        assert!(parse_size("0").is_err() && parse_size("4kb").is_err() && parse_size("").is_err());
        assert_eq!(size_text(4096), "4 KiB");
        assert_eq!(size_text(64 << 20), "64 MiB");
    }

    #[test]
    fn every_size_and_concurrency_once_each_way() {
        let plan = Plan::new(&["4KiB".into(), "1MiB".into()], &[1, 8], 1.0, 1 << 30).expect("fine");
        let count = |operation| plan.phases().iter().filter(|p| p.operation == operation).count();
        assert_eq!(
            (count(Operation::Put), count(Operation::Get), count(Operation::List)),
            (4, 4, 2)
        );
    }
}
