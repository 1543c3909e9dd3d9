//! Bugs that can be planted on purpose, to see that the tests would catch them.
//!
//! In a build with the feature `planted`, the environment variable `SHARDLAKE_PLANT` names one bug, and
//! the code that it breaks asks [`planted`]. In every other build the answer is a constant `false`, and
//! the compiler removes the broken branch. `tests/planted` builds that binary, plants each bug in turn
//! and shows which layer of tests caught it.

/// Whether this bug is planted in this process.
#[cfg(feature = "planted")]
pub fn planted(bug: &str) -> bool {
    use std::sync::OnceLock;
    static PLANTED: OnceLock<Option<String>> = OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("SHARDLAKE_PLANT").ok()).as_deref() == Some(bug)
}

/// Whether this bug is planted in this process: this build has none.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn planted(_bug: &str) -> bool {
    false
}
