//! One page: what was done, what came of it, and the verdict.

use std::{fmt, time::Duration};

use crate::{
    checker::Verdict,
    history::{Call, History, Operation, Outcome},
};

/// The page.
pub(crate) struct Report<'a> {
    pub(crate) history: &'a History,
    pub(crate) verdict: &'a Verdict,
    /// When faults were caused.
    pub(crate) faults: &'a [Duration],
    pub(crate) clients: usize,
    pub(crate) gateways: usize,
    pub(crate) seed: u64,
}

/// The rows of the table: every call, by what is sent.
const KINDS: [&str; 6] =
    ["GET", "PUT", "PUT If-Match", "PUT If-None-Match: *", "DELETE", "DELETE If-Match"];

fn kind(call: Call) -> usize {
    match call {
        Call::Read => 0,
        Call::Write(_) => 1,
        Call::CompareAndSet(..) => 2,
        Call::Create(_) => 3,
        Call::Delete => 4,
        Call::DeleteIf(_) => 5,
    }
}

/// The columns. A read that found nothing is a success, and is shown as the 404 it was.
const ANSWERS: [&str; 5] = ["done", "404", "412", "409", "unknown"];

fn answer(operation: &Operation) -> usize {
    match operation.outcome {
        Outcome::Ok(None) if operation.call == Call::Read => 1,
        Outcome::Ok(_) => 0,
        Outcome::Absent => 1,
        Outcome::Differs => 2,
        Outcome::Fail => 3,
        Outcome::Info => 4,
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations = &self.history.0;
        let last = operations.iter().map(|operation| operation.ended).max().unwrap_or_default();
        let mut histories: Vec<Vec<Operation>> = self.history.keys().into_values().collect();
        histories.sort_by_key(Vec::len);
        let length = |number: usize| histories.get(number).map_or(0, Vec::len);
        let struck = histories.iter().filter(|history| self.was_struck(history)).count();
        writeln!(
            f,
            "{} operations of {} clients through {} gateways in {:.0} s, seed {}",
            operations.len(),
            self.clients,
            self.gateways,
            last.as_secs_f64(),
            self.seed,
        )?;
        writeln!(
            f,
            "{} key histories of {} to {} operations, half of them {} or more",
            histories.len(),
            length(0),
            length(histories.len().saturating_sub(1)),
            length(histories.len() / 2),
        )?;
        writeln!(
            f,
            "{} faults; {struck} histories were under way when one came",
            self.faults.len()
        )?;
        self.table(f)?;
        for (what, writes) in [("read", false), ("write", true)] {
            let gap = self.history.longest_gap_s(writes);
            writeln!(f, "longest time without a successful {what:<5} {gap:.2} s")?;
        }
        write!(f, "{}", self.verdict)
    }
}

impl Report<'_> {
    /// Whether a fault came while the history's operations were going on.
    fn was_struck(&self, history: &[Operation]) -> bool {
        let begin = history.iter().map(|operation| operation.invoked).min();
        let end = history.iter().map(|operation| operation.ended).max();
        self.faults.iter().any(|at| begin <= Some(*at) && Some(*at) <= end)
    }

    fn table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = [[0usize; ANSWERS.len()]; KINDS.len()];
        for operation in &self.history.0 {
            counts[kind(operation.call)][answer(operation)] += 1;
        }
        write!(f, "{:<22}", "")?;
        for name in ANSWERS {
            write!(f, "{name:>9}")?;
        }
        writeln!(f)?;
        for (name, row) in KINDS.iter().zip(counts) {
            write!(f, "{name:<22}")?;
            for count in row {
                write!(f, "{count:>9}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_counts_every_operation_once() {
        let operation = |key, call, outcome, at| Operation {
            process: 0,
            key,
            call,
            invoked: Duration::from_secs(at),
            ended: Duration::from_secs(at + 1),
            outcome,
        };
        let history = History(vec![
            operation(0, Call::Create(1), Outcome::Ok(None), 0),
            operation(0, Call::Create(2), Outcome::Differs, 0),
            operation(0, Call::Read, Outcome::Ok(Some(1)), 3),
            operation(1, Call::Read, Outcome::Ok(None), 6),
            operation(1, Call::DeleteIf(1), Outcome::Absent, 6),
            operation(1, Call::Delete, Outcome::Info, 6),
        ]);
        let verdict = crate::checker::register::check(&history);
        let faults = [Duration::from_secs(2), Duration::from_secs(30)];
        let report = Report {
            history: &history,
            verdict: &verdict,
            faults: &faults,
            clients: 2,
            gateways: 3,
            seed: 7,
        };
        assert_eq!(
            report.to_string(),
            "6 operations of 2 clients through 3 gateways in 7 s, seed 7\n\
             2 key histories of 3 to 3 operations, half of them 3 or more\n\
             2 faults; 1 histories were under way when one came\n\
             \u{20}                          done      404      412      409  unknown\n\
             GET                           1        1        0        0        0\n\
             PUT                           0        0        0        0        0\n\
             PUT If-Match                  0        0        0        0        0\n\
             PUT If-None-Match: *          1        0        1        0        0\n\
             DELETE                        0        0        0        0        1\n\
             DELETE If-Match               0        1        0        0        0\n\
             longest time without a successful read  3.00 s\n\
             longest time without a successful write 0.00 s\n\
             2 histories right, 0 violations [], 0 unknown []"
        );
    }
}
