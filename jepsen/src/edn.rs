//! Histories in Jepsen's form: one map a line, invocations and completions in the order of time.

use std::{fmt::Write, time::Duration};

/// One operation as it is written twice: when it was invoked and when it ended.
pub(crate) struct Entry {
    /// A number, or `:nemesis`.
    pub(crate) process: String,
    pub(crate) f: &'static str,
    pub(crate) invoked: Duration,
    pub(crate) ended: Duration,
    /// "ok", "fail" or "info".
    pub(crate) kind: &'static str,
    /// The value of the invocation, as EDN.
    pub(crate) asked: String,
    /// The value of the completion, as EDN.
    pub(crate) found: String,
    pub(crate) error: Option<&'static str>,
}

/// The file.
pub(crate) fn lines(entries: &[Entry]) -> String {
    let mut events: Vec<(Duration, bool, &Entry)> = Vec::new();
    for entry in entries {
        events.push((entry.invoked, false, entry));
        events.push((entry.ended, true, entry));
    }
    events.sort_by_key(|(time, completion, _)| (*time, *completion));
    let mut text = String::new();
    for (index, (time, completion, entry)) in events.into_iter().enumerate() {
        let (kind, value) =
            if completion { (entry.kind, &entry.found) } else { ("invoke", &entry.asked) };
        let error = match entry.error {
            Some(error) if completion => format!(", :error :{error}"),
            _ => String::new(),
        };
        writeln!(
            text,
            "{{:index {index}, :time {}, :type :{kind}, :process {}, :f :{}, :value {value}{error}}}",
            time.as_nanos(),
            entry.process,
            entry.f,
        )
        .expect("writing to a String");
    }
    text
}
