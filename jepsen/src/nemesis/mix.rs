//! All nemeses in turn on one cluster, in an order that follows from the seed, and how long the cluster
//! takes to come back from each.

use std::time::{Duration, Instant};

use aws_sdk_s3::{Client, primitives::ByteStream};
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use serde_json::json;

use super::{
    control::{Control, Nodes},
    plan::{self, Plan},
};
use crate::edn;

/// A nemesis' length, in seconds.
const LASTS_S: std::ops::Range<f64> = 3.0..9.0;
/// The calm after a recovery, in seconds.
const CALM_S: std::ops::Range<f64> = 1.0..3.0;
/// A cluster that does not serve, or is not whole again, within this time has not recovered.
pub(crate) const RECOVERY_MAX: Duration = Duration::from_secs(120);
/// A node that died again is started again after so long.
const RAISE_AGAIN: Duration = Duration::from_secs(1);
/// A node that is dead so long after its start refuses to start.
const REFUSES_AFTER: Duration = Duration::from_secs(10);
/// One try of a probe.
const PROBE_MAX: Duration = Duration::from_secs(2);
const PROBE_PAUSE: Duration = Duration::from_millis(50);
/// Probes are large enough to go to the disks.
const PROBE_BYTES: usize = 20_000;

/// One strike and what came after it. Times are since the beginning of the run.
#[derive(Clone, Debug)]
pub(crate) struct Strike {
    pub(crate) name: &'static str,
    pub(crate) target: String,
    pub(crate) began: Duration,
    /// When it was healed.
    pub(crate) ended: Duration,
    /// From the healing until a write and a read through every gateway had succeeded.
    pub(crate) recovery: Option<Duration>,
    /// From the healing until the cluster said of itself that nothing is missing.
    pub(crate) whole: Option<Duration>,
    /// Nodes that were dead before it was healed though nobody killed them: they had stopped themselves.
    pub(crate) stopped: Vec<String>,
}

/// The nemeses of a run.
pub(crate) struct Nemesis {
    pub(crate) control: Control,
    pub(crate) nodes: Nodes,
    pub(crate) seed: u64,
    pub(crate) began: Instant,
    /// Those that take part.
    pub(crate) names: Vec<&'static str>,
    /// No strike begins after this time.
    pub(crate) until: Duration,
}

impl Nemesis {
    /// Strikes until the time is over, then heals everything and waits until the cluster is whole.
    pub(crate) async fn run(mut self) -> anyhow::Result<Vec<Strike>> {
        let probes = self.nodes.access().clients(PROBE_MAX);
        let bucket = format!("probe-{:016x}", self.seed);
        probes[0].create_bucket().bucket(&bucket).send().await?;
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut order: Vec<&'static str> = Vec::new();
        let mut strikes = Vec::new();
        // How many in a row had nothing to do.
        let mut idle = 0;
        while self.began.elapsed() < self.until && !self.names.is_empty() {
            // Each once, in any order, before one comes again.
            let name = match order.pop() {
                Some(name) => name,
                None => {
                    order.clone_from(&self.names);
                    order.shuffle(&mut random);
                    continue;
                }
            };
            self.nodes = self.control.ask("nodes").await?;
            let leader: Option<String> = self.control.ask("index_leader").await?;
            let plan = plan::plan(name, &self.nodes, leader.as_deref(), &mut random);
            let Some(plan) = plan else {
                idle += 1;
                match idle < self.names.len() {
                    true => continue,
                    // None of them can do anything any more.
                    false => break,
                }
            };
            idle = 0;
            let lasts = Duration::from_secs_f64(random.random_range(LASTS_S));
            let strike = self.strike(plan, lasts, &probes, &bucket).await?;
            say(&strike);
            strikes.push(strike);
            if !strikes.last().is_some_and(recovered) {
                break;
            }
            let calm = Duration::from_secs_f64(random.random_range(CALM_S));
            tokio::time::sleep(calm).await;
        }
        // Without nemeses, or after the last.
        while strikes.last().is_none_or(recovered) && self.began.elapsed() < self.until {
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        self.nodes = self.control.ask("nodes").await?;
        for command in plan::heal_everything(&self.nodes) {
            self.control.call(&command).await?;
        }
        self.raise_the_dead().await?;
        self.whole(Instant::now()).await?;
        let panics: Vec<String> = self.control.ask("logs").await?;
        anyhow::ensure!(panics.is_empty(), "nodes panicked: {panics:?}");
        Ok(strikes)
    }

    async fn strike(
        &mut self,
        plan: Plan,
        lasts: Duration,
        probes: &[Client],
        bucket: &str,
    ) -> anyhow::Result<Strike> {
        announce(&plan, self.began.elapsed());
        let began = self.began.elapsed();
        for command in &plan.begin {
            self.control.call(command).await?;
        }
        tokio::time::sleep(lasts).await;
        let mut stopped: Vec<String> = self.control.ask("down").await?;
        stopped.retain(|name| !plan.killed().contains(name.as_str()));
        for command in &plan.end {
            self.control.call(command).await?;
        }
        self.raise_the_dead().await?;
        let (ended, healed) = (self.began.elapsed(), Instant::now());
        let probed = join_all(
            probes.iter().enumerate().map(|(number, probe)| served(probe, bucket, number)),
        );
        let recovery = probed.await.into_iter().all(|served| served).then(|| healed.elapsed());
        let whole = self.whole(healed).await?;
        let Plan { name, target, .. } = plan;
        Ok(Strike { name, target, began, ended, recovery, whole, stopped })
    }

    /// Starts whoever is dead: a node that meets a bad disk stops itself, and may do so late.
    async fn raise_the_dead(&mut self) -> anyhow::Result<()> {
        let down: Vec<String> = self.control.ask("down").await?;
        if !down.is_empty() {
            self.control.call(&json!({ "do": "start", "nodes": down })).await?;
        }
        Ok(())
    }

    /// Waits until the cluster says that it is whole; how long after `since` that was.
    async fn whole(&mut self, since: Instant) -> anyhow::Result<Option<Duration>> {
        let mut refused = false;
        let mut raised = Instant::now();
        while since.elapsed() < RECOVERY_MAX {
            if self.control.ask("whole").await? {
                return Ok(Some(since.elapsed()));
            }
            if raised.elapsed() > RAISE_AGAIN {
                self.raise_the_dead().await?;
                raised = Instant::now();
            }
            // What rotted may be what its node needs to start. It must refuse, loudly, and its disk be exchanged:
            // here the bits are put right, as the disk's stand-in.
            if !refused && since.elapsed() > REFUSES_AFTER {
                let down: Vec<String> = self.control.ask("down").await?;
                let victim = plan::rotten(&self.nodes);
                refused = down.iter().any(|name| name == victim);
                if refused {
                    say_refused(victim);
                    self.control.call(&json!({ "do": "unflip", "node": victim })).await?;
                }
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        Ok(None)
    }
}

fn recovered(strike: &Strike) -> bool {
    strike.recovery.is_some() && strike.whole.is_some()
}

/// The strikes in Jepsen's form, as operations of the nemesis.
pub(crate) fn edn(strikes: &[Strike]) -> String {
    let entry = |strike: &Strike| edn::Entry {
        process: ":nemesis".into(),
        f: strike.name,
        invoked: strike.began,
        ended: strike.ended,
        kind: "info",
        asked: format!("{:?}", strike.target),
        found: format!("{:?}", strike.stopped),
        error: None,
    };
    edn::lines(&strikes.iter().map(entry).collect::<Vec<_>>())
}

/// Tries until a write and a read through this gateway have succeeded; false if they never do.
async fn served(probe: &Client, bucket: &str, number: usize) -> bool {
    let began = Instant::now();
    let (mut written, mut body) = (false, 0u8);
    while began.elapsed() < RECOVERY_MAX {
        body = body.wrapping_add(1);
        let key = format!("gateway-{number}");
        if !written {
            let bytes = ByteStream::from(vec![body; PROBE_BYTES]);
            let put = probe.put_object().bucket(bucket).key(key).body(bytes);
            written = put.send().await.is_ok();
        } else if let Ok(answer) = probe.get_object().bucket(bucket).key(key).send().await
            && answer.body.collect().await.is_ok_and(|body| body.into_bytes().len() == PROBE_BYTES)
        {
            return true;
        }
        tokio::time::sleep(PROBE_PAUSE).await;
    }
    false
}

#[allow(clippy::print_stdout, reason = "the program's output")]
fn announce(plan: &Plan, at: Duration) {
    println!("{:7.1} s  {}: {}", at.as_secs_f64(), plan.name, plan.target);
}

#[allow(clippy::print_stdout, reason = "the program's output")]
fn say_refused(victim: &str) {
    println!("           {victim} refuses to start from what rotted; it gets its bits back");
}

#[allow(clippy::print_stdout, reason = "the program's output")]
fn say(strike: &Strike) {
    let seconds = |time: Option<Duration>| {
        time.map_or("never".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
    };
    let stopped = match strike.stopped.is_empty() {
        true => String::new(),
        false => format!("; stopped by themselves: {}", strike.stopped.join(", ")),
    };
    println!(
        "           healed after {:.1} s; serves {} later, whole {} later{stopped}",
        (strike.ended - strike.began).as_secs_f64(),
        seconds(strike.recovery),
        seconds(strike.whole),
    );
}
