//! Object lock: versions that may not be deleted yet.
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html>.

use serde::{Deserialize, Serialize};

use crate::UnixMillis;

/// How strictly a retention period holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RetentionMode {
    /// Whoever has the permission may bypass it, by saying so in the request.
    Governance,
    /// Nobody may shorten it or delete the version before its end.
    Compliance,
}

/// A version may not be deleted before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Retention {
    /// How strictly.
    pub mode: RetentionMode,
    /// The end, on the index partition's clock.
    pub until: UnixMillis,
}

/// What keeps a version from being deleted.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct ObjectLock {
    /// Until a time.
    pub retention: Option<Retention>,
    /// Until it is taken off (`Some(false)`). `None`: the version never had one, which clients
    /// are told otherwise than `OFF`.
    pub legal_hold: Option<bool>,
}

impl ObjectLock {
    /// Whether a version with this lock must not be deleted at `now`.
    pub fn forbids_delete(&self, now: UnixMillis, bypass_governance: bool) -> bool {
        self.legal_hold == Some(true)
            || self.retention.is_some_and(|it| it.holds(now, bypass_governance))
    }

    /// Whether the retention may become `to` at `now`: it may always grow in the same mode;
    /// anything else, also from governance to compliance, only where the present one does not
    /// hold.
    pub fn allows_retention(
        &self,
        to: Option<Retention>,
        now: UnixMillis,
        bypass_governance: bool,
    ) -> bool {
        let Some(held) = self.retention.filter(|it| it.holds(now, bypass_governance)) else {
            return true;
        };
        to.is_some_and(|to| to.until >= held.until && to.mode == held.mode)
    }
}

impl Retention {
    fn holds(&self, now: UnixMillis, bypass_governance: bool) -> bool {
        now < self.until && !(bypass_governance && self.mode == RetentionMode::Governance)
    }
}

/// How long a default retention lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Period {
    /// Days of 24 hours; at least 1.
    Days(u32),
    /// Years of 365 days; at least 1.
    Years(u32),
}

impl Period {
    /// Its end, if it begins at `from`.
    pub fn after(self, from: UnixMillis) -> UnixMillis {
        const DAY_MS: u64 = 24 * 3600 * 1000;
        let days = match self {
            Self::Days(days) => u64::from(days),
            Self::Years(years) => u64::from(years) * 365,
        };
        from.plus(days * DAY_MS)
    }
}

/// The retention of new versions that bring none of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DefaultRetention {
    /// How strictly.
    pub mode: RetentionMode,
    /// How long, from the making of the version.
    pub period: Period,
}

#[cfg(test)]
mod tests {
    use RetentionMode::{Compliance, Governance};

    use super::*;

    fn until(mode: RetentionMode, until: u64) -> Option<Retention> {
        Some(Retention { mode, until: UnixMillis(until) })
    }

    #[test]
    fn deleting() {
        for (retention, legal_hold, now, bypass, forbidden) in [
            (None, false, 5, false, false),
            (None, true, 5, true, true),
            (until(Governance, 10), false, 9, false, true),
            (until(Governance, 10), false, 9, true, false),
            (until(Governance, 10), false, 10, false, false),
            (until(Compliance, 10), false, 9, true, true),
            (until(Compliance, 10), false, 10, false, false),
            (until(Compliance, 10), true, 10, true, true),
        ] {
            let lock = ObjectLock { retention, legal_hold: Some(legal_hold) };
            assert_eq!(lock.forbids_delete(UnixMillis(now), bypass), forbidden, "{lock:?} {now}");
        }
    }

    #[test]
    fn changing_the_retention() {
        let (gov, comp) = (until(Governance, 10), until(Compliance, 10));
        for (held, to, bypass, allowed) in [
            (None, comp, false, true),
            (gov, until(Governance, 11), false, true),
            (gov, until(Governance, 9), false, false),
            (gov, until(Governance, 9), true, true),
            (gov, None, false, false),
            (gov, None, true, true),
            (gov, comp, false, false),
            (gov, comp, true, true),
            (gov, until(Compliance, 9), false, false),
            (comp, comp, false, true),
            (comp, until(Compliance, 11), false, true),
            (comp, until(Compliance, 9), true, false),
            (comp, until(Governance, 11), true, false),
            (comp, None, true, false),
        ] {
            let lock = ObjectLock { retention: held, legal_hold: None };
            let now = UnixMillis(5);
            assert_eq!(lock.allows_retention(to, now, bypass), allowed, "{held:?} -> {to:?}");
            assert!(lock.allows_retention(to, UnixMillis(10), false), "it has ended");
        }
    }

    #[test]
    fn periods() {
        let day = 24 * 3600 * 1000;
        assert_eq!(Period::Days(2).after(UnixMillis(1)), UnixMillis(1 + 2 * day));
        assert_eq!(Period::Years(1).after(UnixMillis(0)), UnixMillis(365 * day));
    }
}
