//! Faults: shell commands that cause and heal them, in turn.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::process::Command;

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    cause: String,
    heal: String,
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

/// Causes and heals faults in turn for `length`; the last one is healed. A command that
/// fails ends the run: a fault that did not happen proves nothing.
pub(crate) async fn run(
    faults: Vec<Fault>,
    lasts: Duration,
    length: Duration,
) -> anyhow::Result<()> {
    let began = Instant::now();
    for fault in faults.iter().cycle() {
        if began.elapsed() + lasts * 2 > length {
            break;
        }
        tokio::time::sleep(lasts).await;
        shell(&fault.cause).await?;
        tokio::time::sleep(lasts).await;
        shell(&fault.heal).await?;
    }
    Ok(())
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

    #[test]
    fn two_commands_each() {
        let faults = parse(&["kill a => start a".into()]).expect("fine");
        assert_eq!(faults, [Fault { cause: "kill a".into(), heal: "start a".into() }]);
        assert!(parse(&["kill a".into()]).is_err());
    }

    #[tokio::test]
    async fn a_command_that_fails_ends_the_run() {
        let faults = parse(&["false => true".into()]).expect("fine");
        let lasts = Duration::from_millis(1);
        assert!(run(faults, lasts, Duration::from_secs(1)).await.is_err());
    }
}
