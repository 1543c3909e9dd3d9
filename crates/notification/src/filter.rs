//! Which keys a configuration is about.
//!
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html>.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The longest value of a rule, in characters.
const VALUE_CHARS_MAX: usize = 1024;

/// What a key begins with and ends with, as the configuration writes it: a space as `+`, other
/// special characters percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Filter {
    /// The beginning, if a rule says it.
    pub prefix: Option<String>,
    /// The end, if a rule says it.
    pub suffix: Option<String>,
}

impl Filter {
    /// The filter of these rules: names, in whatever case, and values.
    pub fn from_rules(rules: impl IntoIterator<Item = (String, String)>) -> Result<Self, Invalid> {
        let mut filter = Self::default();
        for (name, value) in rules {
            let (place, twice) = match name.to_ascii_lowercase().as_str() {
                "prefix" => {
                    (&mut filter.prefix, "Cannot specify more than one prefix rule in a filter.")
                }
                "suffix" => {
                    (&mut filter.suffix, "Cannot specify more than one suffix rule in a filter.")
                }
                _ => {
                    let message = "filter rule name must be either prefix or suffix";
                    return Err(Invalid::Argument(message.into()));
                }
            };
            if value.chars().count() > VALUE_CHARS_MAX {
                let message = "Size of filter rule value cannot exceed 1024 characters.";
                return Err(Invalid::Argument(message.into()));
            }
            if place.replace(value).is_some() {
                return Err(Invalid::Argument(twice.into()));
            }
        }
        Ok(filter)
    }

    /// Whether the key passes.
    pub fn passes(&self, key: &str) -> bool {
        let (prefix, suffix) = self.decoded();
        key.as_bytes().starts_with(&prefix) && key.as_bytes().ends_with(&suffix)
    }

    /// Whether AWS holds that some key could pass both: one prefix begins with the other, and one
    /// suffix ends with the other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let ((prefix, suffix), (other_prefix, other_suffix)) = (self.decoded(), other.decoded());
        let prefixes = prefix.starts_with(&other_prefix) || other_prefix.starts_with(&prefix);
        let suffixes = suffix.ends_with(&other_suffix) || other_suffix.ends_with(&suffix);
        prefixes && suffixes
    }

    /// Prefix and suffix as keys have them; empty ones where nothing is said.
    fn decoded(&self) -> (Vec<u8>, Vec<u8>) {
        (decode(self.prefix.as_deref()), decode(self.suffix.as_deref()))
    }
}

/// What is no escape stays as it is.
fn decode(value: Option<&str>) -> Vec<u8> {
    let bytes = value.unwrap_or_default().as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => u8::try_from(high * 16 + low).ok(),
            _ => None,
        };
        match escaped {
            Some(byte) => decoded.push(byte),
            None => decoded.push(if bytes[at] == b'+' { b' ' } else { bytes[at] }),
        }
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(prefix: &str, suffix: &str) -> Filter {
        let rules = [("Prefix", prefix), ("suffix", suffix)];
        Filter::from_rules(rules.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .expect("valid")
    }

    #[test]
    fn keys_pass() {
        for (prefix, suffix, key, passes) in [
            ("", "", "any", true),
            ("a/", "", "a/b", true),
            ("a/", "", "b/a/", false),
            ("a/", ".jpg", "a/x.jpg", true),
            ("a/", ".jpg", "a/x.png", false),
            // Both may lie over the same bytes.
            ("aa", "aa", "aa", true),
            ("with+space", "", "with space/x", true),
            ("with+space", "", "with+space/x", false),
            ("%C3%BC", "%2b", "ü+", true),
            ("100%", "%zz", "100% sure%zz", true),
        ] {
            assert_eq!(filter(prefix, suffix).passes(key), passes, "{prefix} {suffix} {key}");
        }
    }

    #[test]
    fn overlaps_as_aws_has_them() {
        let none = Filter::default();
        for (one, other, overlap) in [
            (none.clone(), none.clone(), true),
            (none.clone(), filter("a", ""), true),
            (filter("images", ""), filter("logs", ""), false),
            (filter("images", ""), filter("images/2", ""), true),
            (filter("images", ".jpg"), filter("images/2", ".png"), false),
            (filter("", "jpg"), filter("", "pg"), true),
            (filter("a", ".jpg"), filter("b", ".jpg"), false),
            (filter("a+b", ""), filter("a%20b", ""), true),
        ] {
            assert_eq!(one.overlaps(&other), overlap, "{one:?} {other:?}");
            assert_eq!(other.overlaps(&one), overlap, "{other:?} {one:?}");
        }
    }

    #[test]
    fn rules_that_are_refused() {
        let rules = |rules: &[(&str, &str)]| {
            let owned = rules.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Filter::from_rules(owned.collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        assert_eq!(rules(&[]), Ok(Filter::default()));
        let long = "x".repeat(1025);
        for (bad, word) in [
            (&[("prefix", "a"), ("PREFIX", "b")][..], "more than one prefix"),
            (&[("suffix", "a"), ("suffix", "a")], "more than one suffix"),
            (&[("infix", "a")], "either prefix or suffix"),
            (&[("prefix", &long)], "1024"),
        ] {
            let message = rules(bad).expect_err(word);
            assert!(message.contains(word), "{message}");
        }
    }
}
