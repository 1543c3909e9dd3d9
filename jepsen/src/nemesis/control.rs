//! A cluster that can be harmed and healed: a child process that takes one JSON object a line and answers
//! with one (`deploy/cluster-ns control`).

use std::{process::Stdio, time::Duration};

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::site::Access;

/// How long one command may take, beside the `wait_s` that it names: stopping a node drains it.
const COMMAND_MAX: Duration = Duration::from_secs(120);

/// The nodes that are in the cluster by role, and how its clients are let in.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Nodes {
    pub(crate) meta: Vec<String>,
    pub(crate) data: Vec<String>,
    pub(crate) gateway: Vec<String>,
    /// Data nodes that joined, and may leave.
    pub(crate) grown: Vec<String>,
    /// Data nodes that may join.
    pub(crate) spare_data: Vec<String>,
    /// Metadata nodes that may join.
    pub(crate) spare_meta: Vec<String>,
    endpoints: Vec<String>,
    access_key: String,
    secret_key: String,
}

impl Nodes {
    /// All of them.
    pub(crate) fn all(&self) -> Vec<String> {
        [&self.meta[..], &self.data[..], &self.gateway[..]].concat()
    }

    pub(crate) fn access(&self) -> Access {
        Access {
            endpoints: self.endpoints.clone(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(meta: usize, data: usize, gateway: usize) -> Self {
        let names = |role: &str, count| (1..=count).map(|n| format!("{role}-{n}")).collect();
        Self {
            meta: names("meta", meta),
            data: names("data", data),
            gateway: names("gateway", gateway),
            grown: Vec::new(),
            spare_data: vec![format!("data-{}", data + 1)],
            spare_meta: vec![format!("meta-{}", meta + 1)],
            endpoints: Vec::new(),
            access_key: String::new(),
            secret_key: String::new(),
        }
    }
}

/// The child process.
pub(crate) struct Control {
    _child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Control {
    /// Starts it; `command` is given to a shell.
    pub(crate) fn start(command: &str) -> anyhow::Result<Self> {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let commands = child.stdin.take().expect("piped above");
        let answers = BufReader::new(child.stdout.take().expect("piped above")).lines();
        Ok(Self { _child: child, commands, answers })
    }

    /// Has a command done, and gives its value.
    pub(crate) async fn call(&mut self, command: &Value) -> anyhow::Result<Value> {
        let asked = Duration::from_secs(command["wait_s"].as_u64().unwrap_or_default());
        let max = COMMAND_MAX + asked;
        let answer = timeout(max, async {
            self.commands.write_all(format!("{command}\n").as_bytes()).await?;
            self.commands.flush().await?;
            self.answers.next_line().await?.context("the control process ended")
        });
        let line = answer
            .await
            .with_context(|| format!("{command} took more than {max:?}"))?
            .with_context(|| format!("having {command} done"))?;
        let mut answer: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if let Some(error) = answer.get("error") {
            anyhow::bail!("{command}: {error}");
        }
        Ok(answer["ok"].take())
    }

    /// A command without arguments, and its value as a type.
    pub(crate) async fn ask<T: serde::de::DeserializeOwned>(
        &mut self,
        verb: &str,
    ) -> anyhow::Result<T> {
        let value = self.call(&serde_json::json!({ "do": verb })).await?;
        serde_json::from_value(value).with_context(|| format!("the answer of {verb:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn values_come_back_and_errors_are_errors() {
        let script =
            r#"read a; echo '{"ok": ["data-1"]}'; read b; echo '{"error": "no such node"}'"#;
        let mut control = Control::start(script).expect("a shell");
        let down: Vec<String> = control.ask("down").await.expect("an answer");
        assert_eq!(down, ["data-1"]);
        let error = control.ask::<Value>("kill").await.expect_err("refused");
        assert!(format!("{error:#}").contains("no such node"), "{error:#}");
        let error = control.ask::<Value>("kill").await.expect_err("it ended");
        assert!(format!("{error:#}").contains("ended") || format!("{error:#}").contains("pipe"));
    }
}
