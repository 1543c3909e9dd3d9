//! Many seeds, each in a process of its own: hash seeds and identifiers follow from the seed only if
//! nothing ran before.

use std::{
    io::IsTerminal,
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

/// Which seeds, and how.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// The first seed.
    pub first: u64,
    /// How many.
    pub seeds: u64,
    /// Processes at a time.
    pub jobs: usize,
    /// The bug to be planted.
    pub planted: Option<String>,
    /// Stop at the first failure.
    pub until_failure: bool,
    /// Arguments that every run is given.
    pub arguments: Vec<String>,
}

/// A run as its process told.
struct Ended {
    seed: u64,
    failed: bool,
    output: String,
}

impl Fleet {
    /// Runs them all; answers the seeds that failed, with what their processes said.
    #[allow(clippy::print_stdout, reason = "a program's output")]
    pub fn run(&self) -> anyhow::Result<Vec<(u64, String)>> {
        let next = AtomicU64::new(self.first);
        let failures = Mutex::new(Vec::new());
        let bar = progress(self.seeds);
        let told = Mutex::new(Instant::now());
        let end = self.first + self.seeds;
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let work = || -> anyhow::Result<()> {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= end {
                        return Ok(());
                    }
                    let ended = self.one(seed)?;
                    bar.inc(1);
                    let mut failures = failures.lock().expect("nothing panics while it is held");
                    if ended.failed {
                        bar.suspend(|| println!("{}", ended.output.trim_end()));
                        failures.push((ended.seed, ended.output));
                        if self.until_failure {
                            next.store(end, Ordering::SeqCst);
                        }
                    }
                    bar.set_message(format!("{} failed", failures.len()));
                    let mut told = told.lock().expect("nothing panics while it is held");
                    if bar.is_hidden() && told.elapsed() > Duration::from_secs(20) {
                        println!(
                            "{} of {} seeds, {} failed",
                            bar.position(),
                            self.seeds,
                            failures.len()
                        );
                        *told = Instant::now();
                    }
                }
            };
            let threads: Vec<_> = (0..self.jobs.max(1)).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                thread
                    .join()
                    .map_err(|_| anyhow::anyhow!("a thread that runs seeds has panicked"))??;
            }
            Ok(())
        })?;
        bar.finish_and_clear();
        Ok(failures.into_inner().expect("no thread is left"))
    }

    fn one(&self, seed: u64) -> anyhow::Result<Ended> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.arg("--seed").arg(seed.to_string()).args(&self.arguments).stdin(Stdio::null());
        if let Some(bug) = &self.planted {
            command.env("SHARDLAKE_PLANT", bug);
        }
        let output = command.output().context("running a seed")?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            let plant = self.planted.as_ref().map(|bug| format!("SHARDLAKE_PLANT={bug} "));
            let arguments = self.arguments.join(" ");
            text.push_str(&format!(
                "replay: {}sim --seed {seed} {arguments} --trace\n",
                plant.unwrap_or_default()
            ));
        }
        Ok(Ended { seed, failed: !output.status.success(), output: text })
    }
}

fn progress(seeds: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(seeds);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} seeds, {msg}, {eta} left")
    {
        bar.set_style(style);
    }
    bar
}
