//! The mix: all workloads at once on one cluster, under all nemeses in turn.

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use tokio::sync::watch;

use crate::{
    nemesis::{
        control::{Control, Nodes},
        mix::{self, Nemesis, Strike},
        plan::NAMES,
    },
    site::Site,
    workload::{Finished, buckets, multipart, register, set, versions},
};

const WORKLOADS: usize = 5;

/// `jepsen mix`
#[derive(Args)]
pub(crate) struct MixArgs {
    /// The shell command of a cluster that can be harmed, as `deploy/cluster-ns control`.
    #[arg(long)]
    control: String,
    /// Seconds in which operations begin.
    #[arg(long, default_value_t = 90)]
    seconds: u64,
    /// Nemeses, in any order; by default all of them. May be repeated.
    #[arg(long = "nemesis", value_parser = nemesis_name)]
    nemeses: Vec<&'static str>,
    /// No nemeses at all.
    #[arg(long, conflicts_with = "nemeses")]
    calm: bool,
    /// Clients of all workloads together, at least one each.
    #[arg(long, default_value_t = 20)]
    clients: usize,
    /// Milliseconds between two operations of a client.
    #[arg(long, default_value_t = 40)]
    think_ms: u64,
    /// Seconds after which an operation without an answer is unknown.
    #[arg(long, default_value_t = 5.0)]
    operation_s: f64,
    /// The seed of all choices; printed, to be given again.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the histories and verdicts go, a folder each.
    #[arg(long, default_value = "jepsen-out")]
    out: PathBuf,
}

fn nemesis_name(text: &str) -> Result<&'static str, String> {
    let known = NAMES.into_iter().find(|name| *name == text);
    known.ok_or_else(|| format!("there are {}", NAMES.join(", ")))
}

/// What came of it all.
struct Report {
    seed: u64,
    length: Duration,
    workloads: Vec<Finished>,
    strikes: Vec<Strike>,
    wrong: Vec<String>,
}

/// Runs the mix; true if nothing was wrong.
pub(crate) async fn run(args: MixArgs) -> anyhow::Result<bool> {
    let seed = args.seed.unwrap_or_else(rand::random);
    let began = Instant::now();
    let length = Duration::from_secs(args.seconds);
    let mut control = Control::start(&args.control)?;
    let nodes: Nodes = control.ask("nodes").await?;
    let operation_max = Duration::try_from_secs_f64(args.operation_s)?;
    let think = Duration::from_millis(args.think_ms);
    let site = Site::new(&nodes.access(), operation_max, seed, began, length, think);
    let site = Arc::new(site);
    let names = match (args.calm, args.nemeses.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => NAMES.to_vec(),
        (false, false) => args.nemeses,
    };
    let nemesis = Nemesis { control, nodes, seed, began, names, until: length };
    let (heal, healed) = watch::channel(false);
    let run_site = site.clone();
    let strikes = async move {
        run_site.all_prepared(WORKLOADS).await;
        let strikes = nemesis.run().await;
        // Also if it failed, or the cluster did not recover: whoever waits must end.
        run_site.stop();
        heal.send_replace(true);
        strikes
    };
    let share = |of: usize| (args.clients * of / 10).max(1);
    let registers = register::Settings {
        clients: share(4),
        keys: 6,
        round_operations: 500,
        rounds: u64::MAX,
        value_bytes: vec![64, 8192],
        planted_race: false,
    };
    let (strikes, a, b, c, d, e) = tokio::join!(
        strikes,
        register::run_and_finish(site.clone(), registers, healed.clone()),
        set::run(site.clone(), share(2), healed.clone()),
        versions::run(site.clone(), share(2), healed.clone()),
        multipart::run(site.clone(), share(1), healed.clone()),
        buckets::run(site.clone(), share(2), healed),
    );
    let workloads = vec![a?, b?, c?, d?, e?];
    for workload in &workloads {
        let folder = args.out.join(workload.name);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("history.edn"), &workload.edn)?;
        std::fs::write(folder.join("results.edn"), workload.verdict.edn(seed))?;
    }
    let strikes = strikes?;
    std::fs::write(args.out.join("nemesis.edn"), mix::edn(&strikes))?;
    let report =
        Report { seed, length: began.elapsed(), workloads, strikes, wrong: site.all_wrong() };
    std::fs::write(args.out.join("report.txt"), report.to_string())?;
    say(&report);
    Ok(report.passed())
}

#[allow(clippy::print_stdout, reason = "the program's output")]
fn say(report: &Report) {
    println!("{report}");
}

impl Report {
    fn passed(&self) -> bool {
        let recovered =
            self.strikes.iter().all(|strike| strike.recovery.is_some() && strike.whole.is_some());
        let right = |workload: &Finished| {
            workload.verdict.valid() && workload.unanswered.is_empty() && workload.counts.ok > 0
        };
        recovered && self.wrong.is_empty() && self.workloads.iter().all(right)
    }

    /// The longest time without a success of a kind, from the beginning of a strike until the cluster had
    /// recovered from it.
    fn pause(&self, strike: &Strike, times: impl Fn(&Finished) -> &[Duration]) -> Duration {
        let end = strike.ended + strike.recovery.unwrap_or_default();
        let inside = |at: &&Duration| strike.began <= **at && **at <= end;
        let mut ends: Vec<Duration> = self
            .workloads
            .iter()
            .flat_map(|workload| times(workload).iter().filter(inside).copied())
            .collect();
        ends.extend([strike.began, end]);
        ends.sort_unstable();
        ends.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }
}

/// A value of which a share of all is not above it; the values are sorted.
fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

/// p50, p99 and the largest, in seconds; what is [`Duration::MAX`] never came.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let told = |share| match quantile(&times, share) {
        Duration::MAX => "never".to_owned(),
        time => format!("{:.2}", time.as_secs_f64()),
    };
    format!("{:>7} {:>7} {:>7}", told(0.5), told(0.99), told(1.0))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.workloads.iter().map(|workload| workload.counts.all()).sum();
        writeln!(
            f,
            "{all} operations in {:.0} s under {} nemeses, seed {}\n",
            self.length.as_secs_f64(),
            self.strikes.len(),
            self.seed,
        )?;
        writeln!(
            f,
            "{:<12}{:>9}{:>9}{:>9}{:>11}{:>11}{:>9}{:>12}",
            "workload",
            "done",
            "refused",
            "unknown",
            "histories",
            "violations",
            "given up",
            "unanswered"
        )?;
        for workload in &self.workloads {
            let (counts, verdict) = (workload.counts, &workload.verdict);
            writeln!(
                f,
                "{:<12}{:>9}{:>9}{:>9}{:>11}{:>11}{:>9}{:>12}",
                workload.name,
                counts.ok,
                counts.fail,
                counts.info,
                verdict.right + verdict.violations.len() + verdict.unknown.len(),
                verdict.violations.len(),
                verdict.unknown.len(),
                workload.unanswered.len(),
            )?;
        }
        self.strikes_table(f)?;
        for workload in &self.workloads {
            let sentences = workload.verdict.why.iter().chain(workload.unanswered.iter().take(20));
            for sentence in sentences {
                writeln!(f, "{}: {sentence}", workload.name)?;
            }
        }
        for sentence in &self.wrong {
            writeln!(f, "wrong: {sentence}")?;
        }
        write!(f, "{}", if self.passed() { "nothing was wrong" } else { "THE RUN FAILED" })
    }
}

impl Report {
    /// One row a nemesis. Times are in seconds: p50, p99 and the largest of its strikes.
    fn strikes_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<19}{:>7}   {:<24}{:<24}{:<24}{:<24}",
            "", "", "serves after healing", "whole after healing", "no read for", "no write for"
        )?;
        write!(f, "{:<19}{:>7}", "nemesis", "strikes")?;
        for _ in 0..4 {
            write!(f, " {:>7} {:>7} {:>7}", "p50", "p99", "max")?;
        }
        writeln!(f)?;
        let mut rows: Vec<(&str, Vec<&Strike>)> = NAMES
            .iter()
            .map(|name| {
                (*name, self.strikes.iter().filter(|strike| strike.name == *name).collect())
            })
            .filter(|(_, strikes): &(_, Vec<_>)| !strikes.is_empty())
            .collect();
        rows.push(("all", self.strikes.iter().collect()));
        for (name, strikes) in rows {
            let of = |time: &dyn Fn(&Strike) -> Duration| {
                spread(strikes.iter().map(|strike| time(strike)).collect())
            };
            writeln!(
                f,
                "{name:<19}{:>7} {} {} {} {}",
                strikes.len(),
                of(&|strike| strike.recovery.unwrap_or(Duration::MAX)),
                of(&|strike| strike.whole.unwrap_or(Duration::MAX)),
                of(&|strike| self.pause(strike, |workload| &workload.reads)),
                of(&|strike| self.pause(strike, |workload| &workload.writes)),
            )?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checker::Verdict, workload::Counts};

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn report() -> Report {
        let workload = Finished {
            name: "set",
            verdict: Verdict { right: 1, ..Verdict::default() },
            edn: String::new(),
            counts: Counts { ok: 4, fail: 0, info: 1 },
            reads: vec![s(1), s(11), s(14), s(19)],
            writes: vec![s(12)],
            unanswered: Vec::new(),
        };
        let strike = Strike {
            name: "kill-data",
            target: "data-1".into(),
            began: s(10),
            ended: s(16),
            recovery: Some(s(2)),
            whole: Some(s(3)),
            stopped: Vec::new(),
        };
        Report {
            seed: 1,
            length: s(20),
            workloads: vec![workload],
            strikes: vec![strike],
            wrong: Vec::new(),
        }
    }

    #[test]
    fn a_pause_is_within_the_strike_and_its_recovery() {
        let report = report();
        let strike = &report.strikes[0];
        assert_eq!(report.pause(strike, |workload| &workload.reads), s(4));
        assert_eq!(report.pause(strike, |workload| &workload.writes), s(6));
    }

    #[test]
    fn anything_that_is_wrong_fails_the_run() {
        assert!(report().passed());
        let spoilers: [fn(&mut Report); 6] = [
            |report| report.wrong.push("bytes".into()),
            |report| report.strikes[0].recovery = None,
            |report| report.strikes[0].whole = None,
            |report| report.workloads[0].unanswered.push("GET".into()),
            |report| report.workloads[0].verdict.unknown.push(3),
            |report| report.workloads[0].counts.ok = 0,
        ];
        for spoil in spoilers {
            let mut report = report();
            spoil(&mut report);
            assert!(!report.passed());
            assert!(report.to_string().ends_with("THE RUN FAILED"));
        }
    }

    #[test]
    fn quantiles_are_of_what_was_measured() {
        let times: Vec<Duration> = (1..=100).map(s).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| quantile(&times, share)), [s(50), s(99), s(100)]);
        assert_eq!(quantile(&[s(3)], 0.5), s(3));
        assert_eq!(quantile(&[], 0.5), s(0));
    }
}
