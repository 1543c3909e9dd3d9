//! `[events]`: where events of buckets can be sent. Metadata nodes deliver them and need all of
//! it; gateways need the names of the targets.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use repair::events::{Settings, Target};
use serde::{Deserialize, Serialize};

use crate::{error::UserError, secret::Secret};

/// Targets at most: each has a cursor in every partition.
const TARGETS_MAX: usize = 32;

/// `[events]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EventsSection {
    /// For so long the delivery of an event is tried again, in seconds.
    retention_s: u64,
    /// The webhooks by their names.
    pub(super) targets: BTreeMap<String, TargetSection>,
}

/// `[events.targets.NAME]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TargetSection {
    /// Where it is, `https://HOST/PATH` or `http://`.
    url: String,
    /// Sent to it as a bearer token.
    token: Secret,
    /// A file that holds the token instead; surrounding white space is ignored.
    token_file: Option<PathBuf>,
}

impl Default for EventsSection {
    fn default() -> Self {
        Self { retention_s: 24 * 3600, targets: BTreeMap::new() }
    }
}

impl EventsSection {
    /// The targets that `--event-target NAME=URL` flags name.
    pub(crate) fn of_flags(flags: &[String]) -> Result<Self, UserError> {
        let mut section = Self::default();
        for flag in flags {
            // A URL may hold a secret: only the name is said.
            let name = flag.split('=').next().unwrap_or_default();
            let form = |what| UserError::new(format!("--event-target {name}: {what}"));
            let (name, url) = flag.split_once('=').ok_or_else(|| form("write NAME=URL"))?;
            let target = TargetSection { url: url.to_owned(), ..TargetSection::default() };
            if section.targets.insert(name.to_owned(), target).is_some() {
                return Err(form("this name is given twice"));
            }
        }
        Ok(section)
    }

    /// The names that configurations of buckets can name.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.targets.keys().cloned().collect()
    }

    /// Refuses what no role can use. A gateway need not know addresses: they may be missing.
    pub(crate) fn check(&self) -> Result<(), UserError> {
        if self.retention_s == 0 {
            return Err(UserError::new("events.retention_s: choose 1 second or more"));
        }
        if self.targets.len() > TARGETS_MAX {
            return Err(UserError::new(format!("events.targets: at most {TARGETS_MAX}")));
        }
        for (name, section) in &self.targets {
            let url = if section.url.is_empty() { "http://localhost/" } else { &section.url };
            target(name, url, None)?;
            if section.token_file.is_some() && !section.token.0.is_empty() {
                return Err(UserError::new(format!(
                    "events.targets.{name}: give token or token_file, not both"
                )));
            }
        }
        Ok(())
    }

    /// What the worker is told. Reads token files.
    pub(crate) fn settings(&self) -> Result<Settings, UserError> {
        self.check()?;
        let targets = self.targets.iter().map(|(name, section)| section.target(name));
        Ok(Settings {
            targets: targets.collect::<Result<_, _>>()?,
            retention_ms: self.retention_s.saturating_mul(1000),
            ..Settings::default()
        })
    }
}

impl TargetSection {
    fn target(&self, name: &str) -> Result<Target, UserError> {
        let token = match &self.token_file {
            None => self.token.0.clone(),
            Some(path) => std::fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .map_err(|error| {
                    let path = path.display();
                    UserError::new(format!("events.targets.{name}.token_file {path}: {error}"))
                })?,
        };
        let token = (self.token_file.is_some() || !token.is_empty()).then_some(token);
        target(name, &self.url, token.as_deref())
    }
}

fn target(name: &str, url: &str, token: Option<&str>) -> Result<Target, UserError> {
    Target::new(name, url, token)
        .map_err(|error| UserError::new(format!("events.targets.{name}: {error}")))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    fn parse(text: &str) -> EventsSection {
        Config::parse(text, &[], &[]).expect("it is TOML").events
    }

    #[test]
    fn two_tokens_are_refused() {
        let text =
            "[events.targets.hook]\nurl = \"http://h/\"\ntoken = \"a\"\ntoken_file = \"/t\"\n";
        let error = parse(text).check().expect_err("refused").to_string();
        assert!(error.contains("not both"), "{error}");
    }

    #[test]
    fn targets_are_read_and_their_tokens_do_not_show() {
        let text = "[events]\nretention_s = 60\n[events.targets.hook]\nurl = \"http://h/p\"\n\
                    token = \"hunter2\"\n[events.targets.eventbridge]\nurl = \"https://e/\"\n";
        let section = parse(text);
        assert_eq!(section.names(), ["eventbridge", "hook"].map(str::to_owned).into());
        let settings = section.settings().expect("valid");
        assert_eq!(settings.retention_ms, 60_000);
        assert_eq!(settings.targets.len(), 2);
        assert!(!format!("{section:?} {settings:?}").contains("hunter2"));

        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), " token-of-a-file\n").expect("written");
        let text =
            format!("[events.targets.hook]\nurl = \"http://h/\"\ntoken_file = {:?}", file.path());
        parse(&text).settings().expect("the file is read and trimmed");
        std::fs::write(file.path(), "").expect("written");
        parse(&text).settings().expect_err("a file without a token is a mistake");
    }

    #[test]
    fn a_variable_can_set_a_token() {
        let variables = [("events.targets.hook.token".to_owned(), "hunter2".to_owned())];
        let text = "[events.targets.hook]\nurl = \"http://h/\"\n";
        let config = Config::parse(text, &variables, &[]).expect("valid");
        assert_eq!(config.events.targets["hook"].token.0, "hunter2");
    }

    #[test]
    fn what_is_refused_names_the_key() {
        let name_only = parse("[events.targets.hook]\n");
        assert!(name_only.check().is_ok(), "enough for a gateway");
        for (text, word) in [
            ("[events.targets.hook]\n", "events.targets.hook: write its url"),
            ("[events.targets.Hook]\nurl = \"http://h/\"\n", "events.targets.Hook"),
            ("[events]\nretention_s = 0\n", "retention_s"),
            (
                "[events.targets.hook]\nurl = \"http://h/\"\ntoken_file = \"/nowhere/token\"\n",
                "/nowhere/token",
            ),
        ] {
            let error = parse(text).settings().expect_err(word).to_string();
            assert!(error.contains(word), "{error}");
        }
        let many: String =
            (0..33).map(|n| format!("[events.targets.t{n}]\nurl = \"http://h/\"\n")).collect();
        assert!(parse(&many).check().is_err());
    }

    #[test]
    fn flags_name_targets() {
        let flags = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            EventsSection::of_flags(&flags).and_then(|section| section.settings())
        };
        let settings = flags(&["a=http://h/?x=y", "b=http://h/"]).expect("valid");
        assert_eq!(settings.targets.len(), 2);
        for wrong in [&["a"][..], &["a=b"], &["a=http://h/", "a=http://i/"]] {
            flags(wrong).expect_err("refused");
        }
    }
}
