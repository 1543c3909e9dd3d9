//! Which configurations are refused, in AWS's words where it has some.

use std::collections::BTreeSet;

use types::UnixMillis;

use crate::{Lifecycle, Rule, When};

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
            || self.abort_uploads_days.is_some();
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
        self.check_filter()
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

#[cfg(test)]
mod tests {
    use crate::{Filter, NoncurrentExpiration};

    use super::*;

    fn rule() -> Rule {
        Rule { id: "r".to_owned(), expiration: Some(When::Days(1)), ..Rule::default() }
    }

    fn refused(rule: Rule) -> String {
        Lifecycle { rules: vec![rule] }.check().expect_err("refused").to_string()
    }

    #[test]
    fn refusals() {
        assert_eq!(Lifecycle { rules: vec![rule()] }.check(), Ok(()));
        assert!(Lifecycle::default().check().is_err(), "no rule");
        assert!(Lifecycle { rules: vec![rule(), rule()] }.check().is_err(), "the same id");
        let tagged =
            Filter { tags: [("a".to_owned(), "b".to_owned())].into(), ..Filter::default() };
        for (bad, word) in [
            (Rule { expiration: None, ..rule() }, "action"),
            (Rule { expiration: Some(When::Days(0)), ..rule() }, "'Days'"),
            (Rule { expiration: Some(When::Date(UnixMillis(1))), ..rule() }, "midnight"),
            (Rule { expired_markers: true, ..rule() }, "Days or Date"),
            (Rule { abort_uploads_days: Some(0), ..rule() }, "DaysAfterInitiation"),
            (
                Rule { abort_uploads_days: Some(1), filter: tagged.clone(), ..rule() },
                "AbortIncomplete",
            ),
            (
                Rule { expiration: None, expired_markers: true, filter: tagged, ..rule() },
                "ExpiredObjectDeleteMarker",
            ),
            (
                Rule { noncurrent: Some(NoncurrentExpiration { days: 0, keep: 0 }), ..rule() },
                "NoncurrentDays",
            ),
            (
                Rule { noncurrent: Some(NoncurrentExpiration { days: 1, keep: 101 }), ..rule() },
                "NewerNoncurrent",
            ),
            (Rule { id: "x".repeat(256), ..rule() }, "255"),
            (
                Rule {
                    filter: Filter {
                        larger_than: Some(5),
                        smaller_than: Some(6),
                        ..Filter::default()
                    },
                    ..rule()
                },
                "ObjectSizeLessThan",
            ),
        ] {
            let message = refused(bad);
            assert!(message.contains(word), "{message}");
        }
    }
}
