//! When a number of days is over.

use types::UnixMillis;

/// How long a day is. A real one has 24 hours; tests make it seconds, so that a year of rules
/// passes while they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    day_ms: u64,
}

impl Default for Calendar {
    fn default() -> Self {
        Self::with_day_ms(24 * 3600 * 1000)
    }
}

impl Calendar {
    /// Days of so many milliseconds; at least one.
    pub fn with_day_ms(day_ms: u64) -> Self {
        Self { day_ms: day_ms.max(1) }
    }

    /// The length of a day.
    pub fn day_ms(&self) -> u64 {
        self.day_ms
    }

    /// `days` after `from`, moved on to the next midnight of UTC as AWS does: a version made
    /// on the 15th at 10:30 with 3 days is due on the 19th at 00:00.
    pub fn after(&self, from: UnixMillis, days: u32) -> UnixMillis {
        let end = from.plus(self.day_ms.saturating_mul(u64::from(days)));
        UnixMillis(end.0.div_ceil(self.day_ms).saturating_mul(self.day_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_ends_at_midnight() {
        let hour = 3600 * 1000;
        let day = Calendar::default();
        let made = UnixMillis((15 * 24 + 10) * hour);
        assert_eq!(day.after(made, 3), UnixMillis(19 * 24 * hour));
        assert_eq!(day.after(UnixMillis(15 * 24 * hour), 3), UnixMillis(18 * 24 * hour));
        let short = Calendar::with_day_ms(2000);
        assert_eq!(short.after(UnixMillis(2500), 2), UnixMillis(8000));
        assert_eq!(
            day.after(UnixMillis(u64::MAX), u32::MAX).0 % (24 * hour),
            u64::MAX % (24 * hour)
        );
    }
}
