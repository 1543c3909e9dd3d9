//! Servers: running ones that the operator names, and ones that are started here over
//! a fresh folder on loopback.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::Context;
use aws_sdk_s3::Client;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::client::client;

/// How long a server may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// A server under measurement.
pub(crate) struct Target {
    /// Its name in the table.
    pub(crate) name: String,
    /// A client of it.
    pub(crate) client: Client,
    /// The bucket that the run made.
    pub(crate) bucket: String,
    pids: Vec<u32>,
    child: Option<Child>,
    stored: Mutex<BTreeMap<u64, u64>>,
    _folder: Option<TempDir>,
}

impl Target {
    /// `NAME=URL,ACCESS_KEY,SECRET_KEY[,PID+PID...]`.
    pub(crate) fn running(text: &str) -> anyhow::Result<Self> {
        let wrong = || anyhow::anyhow!("--endpoint: write NAME=URL,ACCESS,SECRET[,PID+PID]");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let fields: Vec<&str> = rest.split(',').collect();
        let (url, access, secret, pids) = match fields[..] {
            [url, access, secret] => (url, access, secret, ""),
            [url, access, secret, pids] => (url, access, secret, pids),
            _ => return Err(wrong()),
        };
        let pids = pids
            .split('+')
            .filter(|pid| !pid.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map_err(|_| wrong())?;
        Ok(Self::new(name, client(url, access, secret), pids))
    }

    /// `shardlake dev` with its defaults: six disks, RS(4,2).
    pub(crate) async fn start_shardlake(binary: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let folder = TempDir::new_in(scratch)?;
        let ready = folder.path().join("ready.json");
        let mut command = Command::new(binary);
        command
            .arg("dev")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder.path().join("data"))
            .arg("--ready-file")
            .arg(&ready);
        let child = spawn(command)?;
        let text = wait(|| async { std::fs::read_to_string(&ready).ok() }).await?;
        let answer: serde_json::Value = serde_json::from_str(&text)?;
        let field = |name: &str| answer[name].as_str().context("a field of the ready file");
        let client = client(field("s3")?, field("access_key")?, field("secret_key")?);
        Self::started("shardlake", client, child, folder).await
    }

    /// `weed mini`: SeaweedFS's own one-process form, replication as it comes.
    pub(crate) async fn start_seaweedfs(binary: &Path, scratch: &Path) -> anyhow::Result<Self> {
        let folder = TempDir::new_in(scratch)?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let data = folder.path().join("data");
        std::fs::create_dir(&data)?;
        let mut command = Command::new(binary);
        command
            .arg("mini")
            .arg(format!("-dir={}", data.display()))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"])
            .arg(format!("-s3.port={port}"))
            .env("AWS_ACCESS_KEY_ID", "benchbench")
            .env("AWS_SECRET_ACCESS_KEY", "benchbenchbench")
            .current_dir(folder.path());
        let child = spawn(command)?;
        let client = client(&format!("http://127.0.0.1:{port}"), "benchbench", "benchbenchbench");
        Self::started("seaweedfs", client, child, folder).await
    }

    async fn started(
        name: &str,
        client: Client,
        child: Child,
        folder: TempDir,
    ) -> anyhow::Result<Self> {
        let pids = child.id().into_iter().collect();
        let mut target = Self::new(name, client, pids);
        target.child = Some(child);
        target._folder = Some(folder);
        let answers = || async {
            target.client.create_bucket().bucket(&target.bucket).send().await.ok().map(|_| ())
        };
        wait(answers).await.with_context(|| format!("{name} did not start"))?;
        Ok(target)
    }

    fn new(name: &str, client: Client, pids: Vec<u32>) -> Self {
        Self {
            name: name.into(),
            client,
            bucket: format!("bench-{}", std::process::id()),
            pids,
            child: None,
            stored: Mutex::default(),
            _folder: None,
        }
    }

    /// The server's processes.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.pids.clone()
    }

    /// How many objects of this size have been put.
    pub(crate) fn stored(&self, object_bytes: u64) -> u64 {
        *self.stored_counts().get(&object_bytes).unwrap_or(&0)
    }

    /// Notes that objects `0..count` of this size are there.
    pub(crate) fn note_stored(&self, object_bytes: u64, count: u64) {
        let mut stored = self.stored_counts();
        let entry = stored.entry(object_bytes).or_default();
        *entry = count.max(*entry);
    }

    fn stored_counts(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, u64>> {
        self.stored.lock().expect("no holder of this lock can panic")
    }

    /// Ends a server that was started here.
    pub(crate) async fn stop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill().await;
        }
    }
}

fn spawn(mut command: Command) -> anyhow::Result<Child> {
    let program = command.as_std().get_program().to_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}

/// Asks until there is an answer, at most [`START_MAX`].
async fn wait<T, F: Future<Output = Option<T>>>(ask: impl Fn() -> F) -> anyhow::Result<T> {
    let began = Instant::now();
    while began.elapsed() < START_MAX {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("no answer within {} s", START_MAX.as_secs())
}
