//! Faults that the operator names: shell commands that cause and heal them, in turn.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::{process::Command, sync::oneshot, time::timeout};

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    cause: String,
    heal: String,
}

/// How faults follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The time before the first fault and between two.
    pub(crate) calm: Duration,
    /// How long a fault lasts.
    pub(crate) lasts: Duration,
}

/// `CAUSE => HEAL` each.
pub(crate) fn parse(texts: &[String]) -> anyhow::Result<Vec<Fault>> {
    texts
        .iter()
        .map(|text| {
            let (cause, heal) = text
                .split_once("=>")
                .with_context(|| format!("--fault {text:?}: write CAUSE => HEAL"))?;
            Ok(Fault { cause: cause.trim().into(), heal: heal.trim().into() })
        })
        .collect()
}

/// Causes and heals faults in turn until `stop` (or until its sender is gone); the last one
/// is healed. Gives when each was caused. A command that fails ends the run: a fault that
/// did not happen proves nothing.
pub(crate) async fn run(
    faults: Vec<Fault>,
    pace: Pace,
    began: Instant,
    mut stop: oneshot::Receiver<()>,
) -> anyhow::Result<Vec<Duration>> {
    let mut caused = Vec::new();
    for fault in faults.iter().cycle() {
        if timeout(pace.calm, &mut stop).await.is_ok() {
            break;
        }
        caused.push(began.elapsed());
        shell(&fault.cause).await?;
        let stopped = timeout(pace.lasts, &mut stop).await.is_ok();
        shell(&fault.heal).await?;
        if stopped {
            break;
        }
    }
    Ok(caused)
}

#[allow(clippy::print_stdout, reason = "the program's output")]
async fn shell(command: &str) -> anyhow::Result<()> {
    println!("nemesis: {command}");
    let status = Command::new("sh").arg("-c").arg(command).status().await?;
    anyhow::ensure!(status.success(), "nemesis command {command:?} ended with {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(ms: u64) -> Pace {
        Pace { calm: Duration::from_millis(ms), lasts: Duration::from_millis(ms) }
    }

    #[test]
    fn two_commands_each() {
        let faults = parse(&["kill a => start a".into()]).expect("fine");
        assert_eq!(faults, [Fault { cause: "kill a".into(), heal: "start a".into() }]);
        assert!(parse(&["kill a".into()]).is_err());
    }

    #[tokio::test]
    async fn a_command_that_fails_ends_the_run() {
        let faults = parse(&["false => true".into()]).expect("fine");
        let (_stop, stopped) = oneshot::channel();
        assert!(run(faults, pace(1), Instant::now(), stopped).await.is_err());
    }

    #[tokio::test]
    async fn the_last_fault_is_healed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("fault");
        let fault = format!("echo bad > {0} => rm {0}", file.display());
        let (stop, stopped) = oneshot::channel();
        let faults = parse(&[fault]).expect("fine");
        let nemesis = tokio::spawn(run(faults, pace(50), Instant::now(), stopped));
        while !file.try_exists().expect("a readable folder") {
            tokio::task::yield_now().await;
        }
        stop.send(()).expect("it still runs");
        assert!(!nemesis.await.expect("no panic").expect("no failure").is_empty());
        assert!(!file.try_exists().expect("a readable folder"));
    }
}
