//! Which configurations are refused, in AWS's words where it has some.

use std::collections::BTreeSet;

use types::{StorageClass, UnixMillis};

use crate::{Lifecycle, NoncurrentTransition, Rule, Transition, When};

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The XML says something that no configuration may say.
    #[error("{0}")]
    Malformed(&'static str),
    /// A value that cannot be used.
    #[error("{0}")]
    Argument(&'static str),
}

/// A day of UTC, whatever the calendar of a test: dates are dates.
const DAY_MS: u64 = 24 * 3600 * 1000;

impl Lifecycle {
    /// Says what is wrong with the configuration.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.rules.is_empty() {
            return Err(Invalid::Malformed("A lifecycle configuration needs at least one rule."));
        }
        if self.rules.len() > Self::RULES_MAX {
            return Err(Invalid::Malformed(
                "A lifecycle configuration can have at most 1000 rules.",
            ));
        }
        let mut ids = BTreeSet::new();
        for rule in &self.rules {
            if !ids.insert(&rule.id) {
                return Err(Invalid::Argument(
                    "Rule ID must be unique. Found same ID for more than one rule.",
                ));
            }
            rule.check()?;
        }
        Ok(())
    }
}

impl Rule {
    fn check(&self) -> Result<(), Invalid> {
        if self.id.chars().count() > 255 {
            return Err(Invalid::Argument("ID length should not exceed allowed limit of 255."));
        }
        let acts = self.expiration.is_some()
            || self.expired_markers
            || self.noncurrent.is_some()
            || self.abort_uploads_days.is_some()
            || !self.transitions.is_empty()
            || !self.noncurrent_transitions.is_empty();
        if !acts {
            return Err(Invalid::Argument("At least one action needs to be specified in a rule."));
        }
        match self.expiration {
            Some(When::Days(0)) => {
                return Err(Invalid::Argument(
                    "'Days' for Expiration action must be a positive integer.",
                ));
            }
            Some(When::Date(UnixMillis(date))) if date % DAY_MS != 0 => {
                return Err(Invalid::Argument("'Date' must be at midnight GMT."));
            }
            _ => {}
        }
        if self.expired_markers && self.expiration.is_some() {
            return Err(Invalid::Malformed(
                "ExpiredObjectDeleteMarker cannot be specified with Days or Date.",
            ));
        }
        if self.noncurrent.is_some_and(|it| it.days == 0) {
            return Err(Invalid::Argument(
                "'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive \
                 integer.",
            ));
        }
        if self.noncurrent.is_some_and(|it| it.keep > 100) {
            return Err(Invalid::Argument(
                "'NewerNoncurrentVersions' for NoncurrentVersionExpiration action must be at \
                 most 100.",
            ));
        }
        if self.abort_uploads_days == Some(0) {
            return Err(Invalid::Argument(
                "'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a \
                 positive integer.",
            ));
        }
        self.check_transitions()?;
        self.check_noncurrent_transitions()?;
        self.check_filter()
    }

    /// AWS: "Transitioning objects using Amazon S3 Lifecycle" in the user guide.
    fn check_transitions(&self) -> Result<(), Invalid> {
        for Transition { when, to } in &self.transitions {
            check_target(*to)?;
            match when {
                When::Days(days) => check_days(*days, *to)?,
                When::Date(UnixMillis(date)) if date % DAY_MS != 0 => {
                    return Err(Invalid::Argument("'Date' must be at midnight GMT."));
                }
                When::Date(_) => {}
            }
        }
        let times = self.transitions.iter().map(|it| it.when).chain(self.expiration);
        let dates = times.clone().filter(|when| matches!(when, When::Date(_))).count();
        if dates != 0 && dates != times.clone().count() {
            return Err(Invalid::Argument(
                "Found mixed 'Date' and 'Days' based Expiration and Transition actions in \
                 lifecycle rule.",
            ));
        }
        let number = |when| match when {
            When::Days(days) => u64::from(days),
            When::Date(UnixMillis(date)) => date,
        };
        let steps = self.transitions.iter().map(|it| (it.to, number(it.when)));
        check_order(steps, self.expiration.map(number))
    }

    fn check_noncurrent_transitions(&self) -> Result<(), Invalid> {
        for NoncurrentTransition { days, keep, to } in &self.noncurrent_transitions {
            check_target(*to)?;
            check_days(*days, *to)?;
            if *keep > 100 {
                return Err(Invalid::Argument(
                    "'NewerNoncurrentVersions' for NoncurrentVersionTransition action must be at \
                     most 100.",
                ));
            }
        }
        let steps = self.noncurrent_transitions.iter().map(|it| (it.to, u64::from(it.days)));
        check_order(steps, self.noncurrent.map(|it| u64::from(it.days)))
    }

    fn check_filter(&self) -> Result<(), Invalid> {
        let filter = &self.filter;
        let by_object = !filter.tags.is_empty()
            || filter.larger_than.is_some()
            || filter.smaller_than.is_some();
        if self.abort_uploads_days.is_some() && by_object {
            return Err(Invalid::Argument(
                "AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes.",
            ));
        }
        if self.expired_markers && by_object {
            return Err(Invalid::Argument(
                "ExpiredObjectDeleteMarker cannot be specified with Tags or object sizes.",
            ));
        }
        if let (Some(larger), Some(smaller)) = (filter.larger_than, filter.smaller_than)
            && larger.saturating_add(1) >= smaller
        {
            return Err(Invalid::Argument(
                "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan' \
                 by more than 1.",
            ));
        }
        if filter.prefix.len() > 1024 {
            return Err(Invalid::Argument("The maximum size of a prefix is 1024."));
        }
        Ok(())
    }
}

/// The schema lets a transition lead to these only.
fn check_target(to: StorageClass) -> Result<(), Invalid> {
    match to {
        StorageClass::Standard | StorageClass::ReducedRedundancy => {
            Err(Invalid::Malformed("A transition cannot lead to STANDARD or REDUCED_REDUNDANCY."))
        }
        _ => Ok(()),
    }
}

/// AWS wants objects to have been in STANDARD for a month before they are accessed infrequently.
fn check_days(days: u32, to: StorageClass) -> Result<(), Invalid> {
    let message = match to {
        StorageClass::StandardIa => {
            "'Days' in Transition action must be greater than or equal to 30 for storageClass \
             'STANDARD_IA'"
        }
        StorageClass::OnezoneIa => {
            "'Days' in Transition action must be greater than or equal to 30 for storageClass \
             'ONEZONE_IA'"
        }
        _ => return Ok(()),
    };
    if days < 30 { Err(Invalid::Argument(message)) } else { Ok(()) }
}

/// Transitions, and the expiration after them, come in the order of the classes: each once, each
/// later than the one before.
fn check_order(
    steps: impl Iterator<Item = (StorageClass, u64)>,
    end: Option<u64>,
) -> Result<(), Invalid> {
    let mut steps: Vec<_> = steps.collect();
    steps.sort_unstable();
    for pair in steps.windows(2) {
        if pair[0].0 == pair[1].0 {
            return Err(Invalid::Argument(
                "'StorageClass' must be different for 'Transition' actions in same 'Rule'",
            ));
        }
        if pair[0].1 >= pair[1].1 {
            return Err(Invalid::Argument(
                "A Transition must be later than those to the storage classes before its own: \
                 STANDARD_IA, INTELLIGENT_TIERING, ONEZONE_IA, GLACIER_IR, GLACIER, DEEP_ARCHIVE",
            ));
        }
    }
    match (steps.last(), end) {
        (Some((_, last)), Some(end)) if end <= *last => Err(Invalid::Argument(
            "The Expiration action must be later than the last Transition action",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
