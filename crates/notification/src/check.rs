//! Which configurations are refused, in AWS's words where it has some.

use std::{borrow::Cow, collections::BTreeSet};

use crate::{Configuration, EventName, Notification, name};

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The XML says something that no configuration may say.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// A value that cannot be used.
    #[error("{0}")]
    Argument(Cow<'static, str>),
    /// It asks for what would never come.
    #[error("A notification of the event {event}, which never happens here ({why}),")]
    NeverHappens {
        /// As the request names it.
        event: String,
        /// Why not.
        why: &'static str,
    },
}

fn argument(message: impl Into<Cow<'static, str>>) -> Invalid {
    Invalid::Argument(message.into())
}

impl Notification {
    /// Says what is wrong with the configuration. Whether its targets are there, the caller
    /// knows.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.configurations.len() > Self::CONFIGURATIONS_MAX {
            return Err(argument("A bucket can have at most 100 notification configurations."));
        }
        let mut ids = BTreeSet::new();
        for (number, configuration) in self.configurations.iter().enumerate() {
            configuration.check()?;
            if !ids.insert(&configuration.id) {
                return Err(argument(
                    "Same ID used for multiple configurations. IDs must be unique",
                ));
            }
            if self.configurations[..number].iter().any(|other| configuration.clashes(other)) {
                return Err(argument(
                    "Configuration is ambiguously defined. Cannot have overlapping suffixes in two \
                     rules if the prefixes are overlapping for the same event type.",
                ));
            }
        }
        Ok(())
    }
}

impl Configuration {
    fn check(&self) -> Result<(), Invalid> {
        if self.id.chars().count() > 255 {
            return Err(argument("ID length should not exceed allowed limit of 255."));
        }
        if self.events.is_empty() {
            return Err(Invalid::Malformed("A notification configuration names no event.".into()));
        }
        for pattern in &self.events {
            if let Some(why) = name::never_happens(pattern) {
                return Err(Invalid::NeverHappens { event: pattern.clone(), why });
            }
            if !name::is_known(pattern) {
                let shown: String = pattern.chars().take(100).collect();
                return Err(argument(format!(
                    "A specified event is not supported for notifications: {shown:?}."
                )));
            }
        }
        self.check_arn()
    }

    fn check_arn(&self) -> Result<(), Invalid> {
        let fields: Vec<&str> = self.arn.split(':').collect();
        let service = self.destination.service();
        match fields[..] {
            ["arn", "aws", found, _, _, target] if found == service && !target.is_empty() => Ok(()),
            _ => Err(argument(format!(
                "The ARN is not well formed: write arn:aws:{service}:REGION:ACCOUNT:TARGET, where \
                 TARGET is the name of an event target that this server is configured with."
            ))),
        }
    }

    /// Whether some event of some key would be in both.
    fn clashes(&self, other: &Self) -> bool {
        let asks = |it: &Self, name: EventName| it.events.iter().any(|p| name.is_asked_by(p));
        self.filter.overlaps(&other.filter)
            && EventName::ALL.into_iter().any(|name| asks(self, name) && asks(other, name))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Destination, Filter};

    use super::*;

    fn configuration(id: &str, events: &[&str], prefix: &str) -> Configuration {
        Configuration {
            id: id.to_owned(),
            destination: Destination::Queue,
            arn: "arn:aws:sqs:us-east-1:000000000000:hook".to_owned(),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            filter: Filter { prefix: Some(prefix.to_owned()), suffix: None },
        }
    }

    fn check(configurations: Vec<Configuration>) -> Result<(), Invalid> {
        Notification { configurations, ..Notification::default() }.check()
    }

    #[test]
    fn what_may_be() {
        assert_eq!(check(Vec::new()), Ok(()), "nobody is told of anything");
        let put = || configuration("1", &["s3:ObjectCreated:Put"], "a");
        assert_eq!(check(vec![put()]), Ok(()));
        assert_eq!(check(vec![put(), configuration("2", &["s3:ObjectCreated:*"], "b")]), Ok(()));
        assert_eq!(check(vec![put(), configuration("2", &["s3:ObjectCreated:Copy"], "a")]), Ok(()));
        let hundred = |count: usize| {
            (0..count).map(|n| {
                configuration(&n.to_string(), &["s3:ObjectTagging:*"], &format!("{n:03}/"))
            })
        };
        assert_eq!(check(hundred(100).collect()), Ok(()));
        assert!(check(hundred(101).collect()).is_err());
    }

    #[test]
    fn refusals() {
        let put = || configuration("1", &["s3:ObjectCreated:Put"], "a");
        for (bad, word) in [
            (vec![put(), configuration("2", &["s3:ObjectCreated:*"], "ab")], "ambiguously"),
            (vec![put(), configuration("1", &["s3:ObjectTagging:*"], "z")], "unique"),
            (vec![configuration("1", &[], "")], "names no event"),
            (vec![configuration("1", &["s3:ObjectCreated"], "")], "not supported"),
            (vec![configuration("1", &["s3:Replication:*"], "")], "replication"),
            (vec![configuration("1", &["s3:ObjectAcl:Put"], "")], "never happens"),
            (vec![configuration(&"x".repeat(256), &["s3:ObjectTagging:*"], "")], "255"),
            (vec![Configuration { arn: "hook".into(), ..put() }], "arn:aws:sqs"),
            (vec![Configuration { destination: Destination::Topic, ..put() }], "arn:aws:sns"),
            (vec![Configuration { arn: "arn:aws:sqs:r:a:".into(), ..put() }], "well formed"),
        ] {
            let message = check(bad).expect_err(word).to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
