//! Versions of a key: how they are named and ordered.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::UnixMillis;

/// One version of a key: object or delete marker. The index partition gives it at apply,
/// so that a later version of the same key is always greater.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct VersionId {
    /// The partition's clock when the version was made.
    pub at: UnixMillis,
    /// Unique in the partition; only grows.
    pub number: u64,
}

impl VersionId {
    /// Later than every version that is ever made.
    pub const MAX: VersionId = VersionId { at: UnixMillis(u64::MAX), number: u64::MAX };
}

impl fmt::Display for VersionId {
    /// 32 lower-case hexadecimal digits, in the order of the versions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.at.0, self.number)
    }
}

/// A text that names no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version id is not valid: it is \"null\" or 32 lower-case hexadecimal digits")]
pub struct InvalidVersion;

impl FromStr for VersionId {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(digit) {
            return Err(InvalidVersion);
        }
        let half = |text: &str| u64::from_str_radix(text, 16).map_err(|_| InvalidVersion);
        Ok(Self { at: UnixMillis(half(&text[..16])?), number: half(&text[16..])? })
    }
}

/// What clients call a version. Objects written while the bucket was not versioned, or while
/// versioning was suspended, are called `null`; a key has at most one such version.
/// AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/versioning-workflows.html>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// The null version.
    Null,
    /// A version that was made while versioning was enabled.
    Id(VersionId),
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Id(id) => fmt::Display::fmt(id, f),
        }
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        if text == "null" { Ok(Self::Null) } else { text.parse().map(Self::Id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_the_order_and_comes_back() {
        let ids = [(0, 0), (0, 1), (1, 0), (0x18f, 7), (u64::MAX, u64::MAX)]
            .map(|(at, number)| VersionId { at: UnixMillis(at), number });
        assert!(ids.is_sorted() && ids.map(|id| id.to_string()).is_sorted());
        for id in ids {
            assert_eq!(id.to_string().parse::<Version>(), Ok(Version::Id(id)));
        }
        assert_eq!("null".parse(), Ok(Version::Null));
        for text in ["", "Null", "0", &"A".repeat(32), &"0".repeat(33), &"+".repeat(32), "ü"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
