//! Verdicts over what the clients saw. Each workload has a checker of its own:
//!
//! * [`register`]: every key is a linearizable register ([`search`]);
//! * [`set`]: what was added is in every listing from then on, once, and in order;
//! * [`versions`]: the versions of a key are one list that only grows;
//! * [`buckets`]: nothing is acknowledged in a bucket that is deleted as empty.

pub(crate) mod buckets;
pub(crate) mod register;
pub(crate) mod search;
pub(crate) mod set;
pub(crate) mod versions;

use std::fmt;

/// Sentences that a verdict keeps.
const WHY_MAX: usize = 20;

/// What a checker found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Keys whose history is right.
    pub(crate) right: usize,
    /// Keys whose history is not.
    pub(crate) violations: Vec<u64>,
    /// Keys whose search was given up.
    pub(crate) unknown: Vec<u64>,
    /// What is wrong with some of them.
    pub(crate) why: Vec<String>,
}

impl Verdict {
    /// Whether the run passes.
    pub(crate) fn valid(&self) -> bool {
        self.violations.is_empty() && self.unknown.is_empty()
    }

    /// Takes in what was found of a key: nothing, or what is wrong.
    pub(crate) fn judge(&mut self, key: u64, faults: Vec<String>) {
        if faults.is_empty() {
            self.right += 1;
        } else {
            self.violations.push(key);
            self.explain(faults);
        }
    }

    /// Keeps sentences, up to the bound.
    pub(crate) fn explain(&mut self, faults: impl IntoIterator<Item = String>) {
        let room = WHY_MAX - self.why.len().min(WHY_MAX);
        self.why.extend(faults.into_iter().take(room));
    }

    /// The verdict in Jepsen's form.
    pub(crate) fn edn(&self, seed: u64) -> String {
        let valid = match (self.violations.is_empty(), self.unknown.is_empty()) {
            (true, true) => "true",
            (true, false) => ":unknown",
            (false, _) => "false",
        };
        format!(
            "{{:valid? {valid}, :seed {seed}, :keys {}, :failures {:?}, :unknown {:?}, :why {:?}}}\n",
            self.right + self.violations.len() + self.unknown.len(),
            self.violations,
            self.unknown,
            self.why,
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} histories right, {} violations {:?}, {} unknown {:?}",
            self.right,
            self.violations.len(),
            self.violations,
            self.unknown.len(),
            self.unknown
        )?;
        for sentence in &self.why {
            write!(f, "\n  {sentence}")?;
        }
        Ok(())
    }
}
