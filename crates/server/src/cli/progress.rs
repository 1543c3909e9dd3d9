//! How far something is, for people: bars, rates, times.

use std::{collections::BTreeMap, time::Duration};

use admin::model::WorkerStatus;
use indicatif::{BinaryBytes, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};

use super::workers::state;

/// Cells of a bar of text.
const CELLS: usize = 10;
/// Steps of a drawn bar.
const STEPS: u64 = 1000;

/// Which part of its round a worker has done, from 0 to 1; by the last round where nothing better is
/// known. `None` between rounds, and in the first one.
pub(super) fn share(worker: &WorkerStatus) -> Option<f64> {
    let round = worker.round.as_ref()?;
    let (done, total) = match &worker.progress {
        Some(progress) if progress.total.is_some() => (progress.done, progress.total),
        _ => (round.looked_at, worker.last_round.as_ref().map(|last| last.looked_at)),
    };
    #[allow(clippy::cast_precision_loss, reason = "a bar for people")]
    total.filter(|total| *total > 0).map(|total| (done as f64 / total as f64).min(1.0))
}

/// `[####......]  42 %`
pub(super) fn text_bar(share: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to CELLS")]
    let full = (share.clamp(0.0, 1.0) * CELLS as f64) as usize;
    format!("[{}{}] {:3.0} %", "#".repeat(full), ".".repeat(CELLS - full), share * 100.0)
}

/// `3 minutes`
pub(super) fn time(ms: u64) -> String {
    HumanDuration(Duration::from_millis(ms)).to_string()
}

/// `12 shards`, `1.50 GiB`
pub(super) fn done(worker: &WorkerStatus) -> String {
    match &worker.progress {
        Some(progress) if progress.unit == "bytes" => BinaryBytes(progress.done).to_string(),
        Some(progress) => format!("{} {}", progress.done, progress.unit),
        None => "-".to_owned(),
    }
}

/// `1.2 shards/s`, `30.00 MiB/s`
pub(super) fn rate(worker: &WorkerStatus) -> String {
    let unit = worker.progress.as_ref().map_or("", |progress| progress.unit.as_str());
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for people")]
    match worker.rate {
        Some(rate) if unit == "bytes" => format!("{}/s", BinaryBytes(rate.max(0.0) as u64)),
        Some(rate) => format!("{rate:.1} {unit}/s"),
        None => "-".to_owned(),
    }
}

/// One drawn line for each worker.
#[derive(Default)]
pub(super) struct Bars {
    screen: MultiProgress,
    lines: BTreeMap<(String, Option<u64>), ProgressBar>,
}

impl Bars {
    /// Draws the list in place of the one before.
    pub(super) fn draw(&mut self, workers: &[WorkerStatus]) {
        let key = |worker: &WorkerStatus| (worker.name.clone(), worker.node);
        let here: Vec<_> = workers.iter().map(key).collect();
        self.lines.retain(|line, bar| {
            let stays = here.contains(line);
            if !stays {
                bar.finish_and_clear();
            }
            stays
        });
        for worker in workers {
            let line = self.lines.entry(key(worker)).or_insert_with(|| {
                let bar = self.screen.add(ProgressBar::new(STEPS));
                bar.set_style(style());
                bar.set_prefix(worker.name.clone());
                bar
            });
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 to STEPS"
            )]
            let at = share(worker).map_or(0, |share| (share * STEPS as f64) as u64);
            line.set_position(at);
            line.set_message(message(worker));
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:12} {bar:30} {percent:>3} % {wide_msg}")
        .expect("the template is fixed")
}

/// `working, 1.2 shards/s, 3 minutes left: what it is at`
fn message(worker: &WorkerStatus) -> String {
    let mut parts = vec![state(worker.state).to_owned()];
    if worker.rate.is_some() {
        parts.push(rate(worker));
    }
    if let Some(ms) = worker.eta_ms {
        parts.push(format!("{} left", time(ms)));
    }
    if let Some(percent) = worker.throttle_percent.filter(|percent| *percent > 0) {
        parts.push(format!("rests {percent} %"));
    }
    format!("{}: {}", parts.join(", "), worker.detail)
}

#[cfg(test)]
mod tests {
    use admin::model::{Progress, Round};

    use super::*;

    fn worker() -> WorkerStatus {
        WorkerStatus {
            name: "scrub".to_owned(),
            state: admin::model::WorkerState::Busy,
            progress: Some(Progress { done: 3 << 30, total: None, unit: "bytes".to_owned() }),
            rate: Some(1024.0),
            detail: "disk 3".to_owned(),
            round: None,
            last_round: None,
            place: None,
            eta_ms: Some(120_000),
            last_failure: None,
            throttle_percent: Some(100),
            node: Some(1),
        }
    }

    #[test]
    fn a_share_is_of_the_total_or_of_the_last_round_and_none_between_rounds() {
        let round = |looked_at| Some(Round { looked_at, ..Round::default() });
        assert_eq!(share(&worker()), None);
        let first = WorkerStatus { round: round(5), ..worker() };
        assert_eq!(share(&first), None, "nothing to compare with");
        let second = WorkerStatus { last_round: round(20), ..first.clone() };
        assert_eq!(share(&second), Some(0.25));
        let longer = WorkerStatus { round: round(30), ..second.clone() };
        assert_eq!(share(&longer), Some(1.0));
        let empty = WorkerStatus { last_round: round(0), ..first.clone() };
        assert_eq!(share(&empty), None);
        let known = Progress { done: 3, total: Some(4), unit: "bytes".to_owned() };
        assert_eq!(share(&WorkerStatus { progress: Some(known), ..second }), Some(0.75));
    }

    #[test]
    fn what_people_read() {
        assert_eq!(text_bar(0.0), "[..........]   0 %");
        assert_eq!(text_bar(0.42), "[####......]  42 %");
        assert_eq!(text_bar(1.0), "[##########] 100 %");
        assert_eq!(
            (done(&worker()).as_str(), rate(&worker()).as_str()),
            ("3.00 GiB", "1.00 KiB/s")
        );
        let expected = "working, 1.00 KiB/s, 2 minutes left, rests 100 %: disk 3";
        assert_eq!(message(&worker()), expected);
    }
}
