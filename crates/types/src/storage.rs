//! Storage classes: what users call a way of keeping objects, and what the operator makes of it.
//! AWS: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-class-intro.html>.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{ErasurePolicy, UnixMillis};

/// A storage class of S3. The order is the one in which lifecycle rules may move an object:
/// only to a later one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[allow(missing_docs, reason = "the names say it")]
pub enum StorageClass {
    #[default]
    Standard,
    ReducedRedundancy,
    StandardIa,
    IntelligentTiering,
    OnezoneIa,
    GlacierIr,
    Glacier,
    DeepArchive,
}

/// A text that names no storage class that exists here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no storage class")]
pub struct UnknownClass(pub String);

impl StorageClass {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Standard,
        Self::ReducedRedundancy,
        Self::StandardIa,
        Self::IntelligentTiering,
        Self::OnezoneIa,
        Self::GlacierIr,
        Self::Glacier,
        Self::DeepArchive,
    ];

    /// As AWS writes it: `STANDARD_IA`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "STANDARD",
            Self::ReducedRedundancy => "REDUCED_REDUNDANCY",
            Self::StandardIa => "STANDARD_IA",
            Self::IntelligentTiering => "INTELLIGENT_TIERING",
            Self::OnezoneIa => "ONEZONE_IA",
            Self::GlacierIr => "GLACIER_IR",
            Self::Glacier => "GLACIER",
            Self::DeepArchive => "DEEP_ARCHIVE",
        }
    }

    /// Whether its objects can be read only while they are restored.
    pub fn is_archive(self) -> bool {
        matches!(self, Self::Glacier | Self::DeepArchive)
    }
}

impl fmt::Display for StorageClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StorageClass {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

/// What a disk is for, by its speed and price.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub enum DiskClass {
    /// Fast: what is read often.
    #[default]
    Hot,
    /// What is read now and then.
    Warm,
    /// Large and slow: archives.
    Cold,
}

impl DiskClass {
    /// As configurations write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }

    /// What stands in for it where the cluster has no disks of it: the next hotter class.
    pub fn hotter(self) -> Option<Self> {
        match self {
            Self::Hot => None,
            Self::Warm => Some(Self::Hot),
            Self::Cold => Some(Self::Warm),
        }
    }
}

impl fmt::Display for DiskClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for DiskClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Hot, Self::Warm, Self::Cold]
            .into_iter()
            .find(|class| class.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not one of hot, warm, cold"))
    }
}

/// How the bytes of a blob are stored before they are erasure-coded.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub enum Compression {
    /// As they came.
    #[default]
    None,
    /// In frames of zstd.
    Zstd,
}

impl Compression {
    /// As configurations write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::None, Self::Zstd]
            .into_iter()
            .find(|compression| compression.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not one of none, zstd"))
    }
}

/// What the operator makes of a storage class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StorageProfile {
    /// How new blobs of the class are erasure-coded.
    pub policy: ErasurePolicy,
    /// Which disks they go to; the next hotter ones if the cluster has none of these.
    pub disks: DiskClass,
    /// How they are compressed.
    pub compression: Compression,
}

/// The profile of every storage class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageClasses(BTreeMap<StorageClass, StorageProfile>);

impl StorageClasses {
    /// What a cluster of this policy begins with. AWS keeps ONEZONE_IA and REDUCED_REDUNDANCY less
    /// durably than the others: here they have one coding chunk less, if two are left to lose.
    pub fn new(policy: ErasurePolicy) -> Self {
        let chunks = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let thinner = ErasurePolicy::new(chunks(policy.k()), chunks(policy.m() - 1));
        let thin = thinner.unwrap_or(policy);
        let profile = |class| match class {
            StorageClass::Standard => (policy, DiskClass::Hot, Compression::None),
            StorageClass::ReducedRedundancy => (thin, DiskClass::Hot, Compression::None),
            StorageClass::IntelligentTiering => (policy, DiskClass::Hot, Compression::Zstd),
            StorageClass::StandardIa => (policy, DiskClass::Warm, Compression::Zstd),
            StorageClass::OnezoneIa => (thin, DiskClass::Warm, Compression::Zstd),
            StorageClass::GlacierIr | StorageClass::Glacier | StorageClass::DeepArchive => {
                (policy, DiskClass::Cold, Compression::Zstd)
            }
        };
        let with = |class| {
            let (policy, disks, compression) = profile(class);
            (class, StorageProfile { policy, disks, compression })
        };
        Self(StorageClass::ALL.into_iter().map(with).collect())
    }

    /// The profile of a class.
    pub fn profile(&self, class: StorageClass) -> StorageProfile {
        self.0.get(&class).copied().unwrap_or_else(|| self.0[&StorageClass::Standard])
    }

    /// Gives a class another profile.
    pub fn set(&mut self, class: StorageClass, profile: StorageProfile) {
        self.0.insert(class, profile);
    }

    /// All classes in order, with their profiles.
    pub fn iter(&self) -> impl Iterator<Item = (StorageClass, StorageProfile)> + '_ {
        self.0.iter().map(|(class, profile)| (*class, *profile))
    }

    /// Whether every class has a profile: decoding does not check it.
    pub fn is_complete(&self) -> bool {
        StorageClass::ALL.iter().all(|class| self.0.contains_key(class))
    }
}

/// What became of the request to restore an archived object. Its bytes are readable where they
/// lie; being restored is a permission with a beginning and an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Restore {
    /// From when on it can be read.
    pub ready: UnixMillis,
    /// Until when.
    pub expires: UnixMillis,
}

impl Restore {
    /// Whether the object cannot be read yet.
    pub fn is_ongoing(&self, now: UnixMillis) -> bool {
        now < self.ready
    }

    /// Whether the object can be read now.
    pub fn is_readable(&self, now: UnixMillis) -> bool {
        self.ready <= now && now < self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for class in StorageClass::ALL {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        assert!("standard".parse::<StorageClass>().is_err());
        assert!("OUTPOSTS".parse::<StorageClass>().is_err());
        for class in [DiskClass::Hot, DiskClass::Warm, DiskClass::Cold] {
            assert_eq!(class.to_string().parse(), Ok(class));
        }
        assert!(StorageClass::ALL.is_sorted());
    }

    #[test]
    fn the_first_profiles_differ_and_are_complete() {
        let policy = ErasurePolicy::new(4, 2).expect("valid");
        let classes = StorageClasses::new(policy);
        assert!(classes.is_complete());
        assert_eq!(classes.profile(StorageClass::Standard).policy, policy);
        assert_eq!(classes.profile(StorageClass::OnezoneIa).policy.to_string(), "rs-4-1");
        let kinds: std::collections::HashSet<_> = classes.iter().map(|(_, it)| it).collect();
        assert!(kinds.len() >= 6, "{kinds:?}");
        let single = StorageClasses::new(ErasurePolicy::new(1, 1).expect("valid"));
        assert_eq!(single.profile(StorageClass::OnezoneIa).policy.to_string(), "rs-1-1");
    }
}
