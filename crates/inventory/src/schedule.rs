//! When a report is due. The worker makes one pass over all configurations a day; a pass stands
//! for the days since the one before, in case nothing ran for a while.

use lifecycle::Calendar;

use crate::{Configuration, Frequency};

/// Day 0, 1 January 1970, was a Thursday.
const FIRST_SUNDAY: u64 = 3;

/// Whether the pass of `day` makes a report, the pass before having been that of `before`; days
/// are counted from the epoch. A weekly one is due on Sundays, and at the first pass after it
/// was put. AWS: "weekly reports are delivered on Sundays (UTC) after the initial report".
pub fn is_due(configuration: &Configuration, calendar: Calendar, before: u64, day: u64) -> bool {
    if !configuration.enabled || day <= before {
        return false;
    }
    match configuration.frequency {
        Frequency::Daily => true,
        Frequency::Weekly => {
            let new = configuration.made.0 / calendar.day_ms() >= before;
            new || sundays(day) > sundays(before)
        }
    }
}

/// Sundays up to this day, inclusive.
fn sundays(day: u64) -> u64 {
    (day + 7 - FIRST_SUNDAY) / 7
}

#[cfg(test)]
mod tests {
    use types::UnixMillis;

    use super::*;
    use crate::{Format, configuration::tests::example};

    const DAY_MS: u64 = 100;

    fn due(frequency: Frequency, made: u64, before: u64, day: u64) -> bool {
        let configuration =
            Configuration { frequency, made: UnixMillis(made), ..example(Format::Csv) };
        is_due(&configuration, Calendar::with_day_ms(DAY_MS), before, day)
    }

    #[test]
    fn daily_and_disabled() {
        assert!(due(Frequency::Daily, 0, 10, 11));
        assert!(!due(Frequency::Daily, 0, 11, 11));
        let off = Configuration { enabled: false, ..example(Format::Csv) };
        assert!(!is_due(&off, Calendar::default(), 1, 2));
    }

    #[test]
    fn weekly_is_sunday_however_long_nothing_ran() {
        // 4 January 1970 was a Sunday.
        let sundays: Vec<u64> =
            (1..30).filter(|day| due(Frequency::Weekly, 0, day - 1, *day)).collect();
        assert_eq!(sundays, [1, 3, 10, 17, 24], "day 1: the first pass after it was put");
        assert!(due(Frequency::Weekly, 0, 8, 12), "the Sunday between was slept through");
        assert!(!due(Frequency::Weekly, 0, 10, 16));
        // 20 April 2025 was a Sunday: day 20198.
        assert!(due(Frequency::Weekly, 0, 20197, 20198));
        assert!(!due(Frequency::Weekly, 0, 20198, 20199));
    }

    #[test]
    fn the_first_weekly_report_does_not_wait() {
        assert!(due(Frequency::Weekly, 12 * DAY_MS + 50, 12, 13), "put during day 12");
        assert!(!due(Frequency::Weekly, 12 * DAY_MS + 50, 13, 14));
        assert!(due(Frequency::Weekly, 13 * DAY_MS, 12, 13), "put before the pass comes by");
    }
}
