//! The root account's keys: from the environment, or made once and kept.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use rand::{Rng, distr::Alphanumeric};
use serde::{Deserialize, Serialize};

use crate::{error::UserError, secret::Secret};

/// Keys of the root account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    /// Access key id: 3 to 128 characters of `A-Za-z0-9_-`.
    pub(crate) access_key: String,
    /// Secret access key: at least 8 characters.
    pub(crate) secret_key: Secret,
}

/// Where credentials came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// `SHARDLAKE_ROOT_ACCESS_KEY` and `SHARDLAKE_ROOT_SECRET_KEY`.
    Environment,
    /// Made just now: shown this one time.
    Generated,
    /// From the folder.
    Kept,
}

impl Credentials {
    /// Checks the form.
    pub(crate) fn new(access_key: &str, secret_key: &str) -> Result<Self, UserError> {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !(3..=128).contains(&access_key.len()) || !access_key.chars().all(fine) {
            return Err(UserError::new(
                "root access key: use 3 to 128 characters of A-Z, a-z, 0-9, _ and - \
                 (SHARDLAKE_ROOT_ACCESS_KEY)",
            ));
        }
        if secret_key.len() < 8 || secret_key.chars().any(char::is_control) {
            return Err(UserError::new(
                "root secret key: use at least 8 printable characters (SHARDLAKE_ROOT_SECRET_KEY)",
            ));
        }
        Ok(Self { access_key: access_key.into(), secret_key: Secret(secret_key.into()) })
    }

    /// From the environment, else from `file`, else made and written there (mode 0600).
    pub(crate) fn for_folder(file: &Path) -> Result<(Self, Source), UserError> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (variable("SHARDLAKE_ROOT_ACCESS_KEY"), variable("SHARDLAKE_ROOT_SECRET_KEY")) {
            (Some(access), Some(secret)) => Ok((Self::new(&access, &secret)?, Source::Environment)),
            (None, None) => Self::from_file(file),
            _ => Err(UserError::new(
                "set both SHARDLAKE_ROOT_ACCESS_KEY and SHARDLAKE_ROOT_SECRET_KEY, or neither",
            )),
        }
    }

    fn from_file(file: &Path) -> Result<(Self, Source), UserError> {
        let failed = |error: &dyn std::fmt::Display| {
            UserError::new(format!("credentials file {}: {error}", file.display()))
        };
        match OpenOptions::new().read(true).open(file) {
            Ok(mut open) => {
                let mut text = String::new();
                open.read_to_string(&mut text).map_err(|error| failed(&error))?;
                let kept: Self = serde_json::from_str(&text).map_err(|error| failed(&error))?;
                Ok((kept, Source::Kept))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let made = Self::generate();
                made.write(file).map_err(|error| failed(&error))?;
                Ok((made, Source::Generated))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Writes the file so that a power cut leaves it whole or leaves none: whoever was shown the
    /// keys will use them again.
    fn write(&self, file: &Path) -> std::io::Result<()> {
        let folder = match file.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let temporary = folder.join(".credentials.json.new");
        let mut new = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        new.write_all(serde_json::to_string_pretty(self).expect("two strings").as_bytes())?;
        new.sync_all()?;
        std::fs::rename(&temporary, file)?;
        platform::folder::sync(folder)
    }

    /// 20 and 40 random characters, the lengths that AWS uses.
    fn generate() -> Self {
        let text = |length| -> String {
            rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
        };
        let access_key = format!("SL{}", text(18).to_ascii_uppercase());
        Self { access_key, secret_key: Secret(text(40)) }
    }

    /// The bearer token of the admin API. Derived, so that there is one secret to keep;
    /// one-way, so that the token does not give the secret away.
    pub(crate) fn admin_token(&self) -> String {
        let key = format!("{}\n{}", self.access_key, self.secret_key.0);
        hex::encode(blake3::derive_key("shardlake admin token v1", key.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn made_once_and_kept_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("credentials.json");
        let (made, source) = Credentials::from_file(&file).expect("made");
        assert_eq!(source, Source::Generated);
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(Credentials::from_file(&file).expect("kept"), (made.clone(), Source::Kept));
        Credentials::new(&made.access_key, &made.secret_key.0).expect("valid");
        assert!(!format!("{made:?}").contains(&made.secret_key.0), "no secret in a log");
    }

    #[test]
    fn bad_forms_are_refused() {
        for (access, secret) in [("ab", "longenough"), ("a b c", "longenough"), ("abc", "short")] {
            assert!(Credentials::new(access, secret).is_err(), "{access} {secret}");
        }
    }
}
