//! `[storage_classes.NAME]`: what the operator makes of a storage class. Only what is said
//! changes; the rest is [`types::StorageClasses::new`].

use std::{collections::BTreeMap, str::FromStr};

use metastore::ProfileOverride;
use serde::{Deserialize, Serialize};
use types::{StorageClass, UnknownClass};

use crate::error::UserError;

/// The sections by AWS's name of their class.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct StorageClassesSection(BTreeMap<String, ClassSection>);

/// One of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ClassSection {
    /// Erasure policy of new blobs, `rs-K-M`.
    policy: Option<String>,
    /// Where they go: `hot`, `warm` or `cold`.
    disks: Option<String>,
    /// How they are compressed: `none` or `zstd`.
    compression: Option<String>,
}

/// What the classes become.
pub(crate) type Overrides = BTreeMap<StorageClass, ProfileOverride>;

impl StorageClassesSection {
    /// What the sections say; a name or value that does not exist is refused.
    pub(crate) fn overrides(&self) -> Result<Overrides, UserError> {
        let of = |(name, section): (&String, &ClassSection)| {
            let at = format!("storage_classes.{name}");
            Ok((class(&at, name)?, section.read(&at)?))
        };
        self.0.iter().map(of).collect()
    }

    /// The key of a variable. Names of variables reach us in lower case, those of classes are
    /// written in capitals.
    pub(crate) fn key_of_variable(key: &str) -> String {
        match key.strip_prefix("storage_classes.").and_then(|rest| rest.split_once('.')) {
            Some((class, rest)) => {
                format!("storage_classes.{}.{rest}", class.to_ascii_uppercase())
            }
            None => key.to_owned(),
        }
    }
}

impl ClassSection {
    fn read(&self, at: &str) -> Result<ProfileOverride, UserError> {
        Ok(ProfileOverride {
            policy: value(&format!("{at}.policy"), self.policy.as_deref())?,
            disks: value(&format!("{at}.disks"), self.disks.as_deref())?,
            compression: value(&format!("{at}.compression"), self.compression.as_deref())?,
        })
    }
}

/// What `--storage-class NAME=POLICY:DISKS:COMPRESSION` flags say; parts may be empty or, at the
/// end, missing. A class that is named twice is refused.
pub(crate) fn of_flags(flags: &[String]) -> Result<Overrides, UserError> {
    let mut overrides = Overrides::new();
    for flag in flags {
        let at = format!("--storage-class {flag}");
        let form = || {
            UserError::new(format!(
                "{at}: write NAME=POLICY:DISKS:COMPRESSION, for example GLACIER=rs-8-4:cold:zstd; \
                 what is left out keeps its default"
            ))
        };
        let (name, rest) = flag.split_once('=').ok_or_else(form)?;
        let class = class(&at, name)?;
        let mut parts = rest.split(':').map(|part| (!part.is_empty()).then(|| part.to_owned()));
        let mut next = || parts.next().flatten();
        let section = ClassSection { policy: next(), disks: next(), compression: next() };
        if parts.next().is_some() {
            return Err(form());
        }
        if overrides.insert(class, section.read(&at)?).is_some() {
            return Err(UserError::new(format!("{at}: {class} is named twice")));
        }
    }
    Ok(overrides)
}

fn class(at: &str, name: &str) -> Result<StorageClass, UserError> {
    name.parse().map_err(|error: UnknownClass| {
        let known = StorageClass::ALL.map(StorageClass::as_str).join(", ");
        UserError::new(format!("{at}: {error}; those that exist are {known}"))
    })
}

fn value<T>(at: &str, text: Option<&str>) -> Result<Option<T>, UserError>
where
    T: FromStr<Err: std::fmt::Display>,
{
    text.map(|text| text.parse().map_err(|error| UserError::new(format!("{at}: {error}"))))
        .transpose()
}
