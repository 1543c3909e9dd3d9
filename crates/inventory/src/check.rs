//! Which configurations are refused, whatever the buckets.

use std::collections::BTreeSet;

use crate::Configuration;

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// The id cannot be one. AWS: `InvalidConfigurationId`.
    #[error("The specified configuration id is invalid: it has 1 to 64 of a-z, A-Z, 0-9, - _ .")]
    Id,
    /// A value that cannot be used.
    #[error("{0}")]
    Argument(&'static str),
}

/// The longest prefix, of keys and of files, in bytes.
const PREFIX_BYTES_MAX: usize = 512;

/// Whether a configuration may have this id: it becomes part of keys.
pub fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl Configuration {
    /// Says what is wrong with the configuration.
    pub fn check(&self) -> Result<(), Invalid> {
        if !is_id(&self.id) {
            return Err(Invalid::Id);
        }
        if !self.fields.iter().collect::<BTreeSet<_>>().len().eq(&self.fields.len()) {
            return Err(Invalid::Argument("An optional field is given more than once."));
        }
        if self.prefix.as_ref().is_some_and(|prefix| prefix.len() > 1024) {
            return Err(Invalid::Argument("The maximum size of a prefix is 1024."));
        }
        if self.destination.prefix.as_ref().is_some_and(|it| it.len() > PREFIX_BYTES_MAX) {
            return Err(Invalid::Argument(
                "The prefix of the destination has at most 512 bytes, so that the keys of a \
                 report fit.",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Destination, Field, Format, configuration::tests::example};

    #[test]
    fn refusals() {
        let plain = || example(Format::Csv);
        assert_eq!(plain().check(), Ok(()));
        for id in ["", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert_eq!(Configuration { id: id.to_owned(), ..plain() }.check(), Err(Invalid::Id));
        }
        assert!(is_id(&"x".repeat(64)) && is_id("Daily.Report_1-a"));
        let twice = vec![Field::Size, Field::ETag, Field::Size];
        assert!(Configuration { fields: twice, ..plain() }.check().is_err());
        let long = |bytes: usize| Some("p".repeat(bytes));
        assert!(Configuration { prefix: long(1025), ..plain() }.check().is_err());
        assert!(Configuration { prefix: long(1024), ..plain() }.check().is_ok());
        let destination = Destination { prefix: long(513), ..plain().destination };
        assert!(Configuration { destination, ..plain() }.check().is_err());
    }
}
