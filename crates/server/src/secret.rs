//! Text that must not show: a secret in the configuration or in the credentials file.

use std::fmt;

use figment::value::Value;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Text that never shows in logs, nor in the error about a file that holds it.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Secret(pub String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A derived implementation would name the value that it did not expect.
        let value = <Value as Deserialize>::deserialize(deserializer)?;
        let text = value.into_string().map(Self);
        text.ok_or_else(|| D::Error::custom("a secret is text: put it in quotes"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(secret)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_and_does_not_show() {
        let secret: Secret = serde_json::from_str("\"hunter2\"").expect("text");
        assert_eq!((secret.0.as_str(), format!("{secret:?}").as_str()), ("hunter2", "(secret)"));
        assert_eq!(format!("{:?}", Secret::default()), "(none)");
        let error = serde_json::from_str::<Secret>("8675309").expect_err("a number").to_string();
        assert!(error.contains("put it in quotes") && !error.contains("8675309"), "{error}");
    }
}
