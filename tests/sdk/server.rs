//! The server under test: the one that `SHARDLAKE_ENDPOINT`, `SHARDLAKE_ACCESS_KEY` and
//! `SHARDLAKE_SECRET_KEY` name, else a `shardlake dev` of the test's own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use sha2::{Digest, Sha256};

/// An endpoint, and the server behind it if it is ours; dropped, the server is killed.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    child: Option<Child>,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// The binary under test.
pub(crate) fn binary() -> Result<PathBuf> {
    if let Ok(path) = std::env::var("SHARDLAKE_BIN") {
        return Ok(path.into());
    }
    // This test is target/release/deps/NAME-HASH.
    let here = std::env::current_exe()?;
    let release = here.ancestors().nth(2).context("a test lies in target/PROFILE/deps")?;
    Ok(release.join("shardlake"))
}

impl Server {
    pub(crate) fn start() -> Result<Self> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(url) = variable("SHARDLAKE_ENDPOINT") {
            let access_key = variable("SHARDLAKE_ACCESS_KEY").context("SHARDLAKE_ACCESS_KEY")?;
            let secret_key = variable("SHARDLAKE_SECRET_KEY").context("SHARDLAKE_SECRET_KEY")?;
            let folder = PathBuf::new();
            return Ok(Self { url, access_key, secret_key, child: None, folder });
        }
        let binary = binary()?;
        ensure!(binary.try_exists()?, "{} is missing: run `make build`", binary.display());
        let folder = std::env::temp_dir().join(format!("shardlake-sdk-{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        let ready = folder.join("ready");
        // Random enough for a server that lives for one test on the loopback address.
        let secret_key = sha256(format!("{ready:?}{:?}", Instant::now()).as_bytes());
        let child = Command::new(&binary)
            .args(["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder.join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .env("SHARDLAKE_ROOT_ACCESS_KEY", "SLRUST")
            .env("SHARDLAKE_ROOT_SECRET_KEY", &secret_key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut server = Self {
            url: String::new(),
            access_key: "SLRUST".into(),
            secret_key,
            child: Some(child),
            folder,
        };
        server.url = server.wait_ready(&ready)?;
        Ok(server)
    }

    /// The S3 address from the one JSON line of the ready file.
    fn wait_ready(&mut self, file: &Path) -> Result<String> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Ok(text) = std::fs::read_to_string(file)
                && text.ends_with('\n')
            {
                let after = text.split_once("\"s3\"").context("no s3 in the ready file")?.1;
                let url = after.split('"').nth(1).context("no address in the ready file")?;
                return Ok(url.to_owned());
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok()?) {
                bail!("shardlake dev ended with {status}");
            }
            ensure!(Instant::now() < deadline, "shardlake dev was not ready within 60 s");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The AWS SDK, speaking to this server.
    pub(crate) fn client(&self) -> Client {
        let keys = Credentials::new(&self.access_key, &self.secret_key, None, None, "test");
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(&self.url)
            .region(Region::new("us-east-1"))
            .credentials_provider(keys)
            .force_path_style(true)
            .build();
        Client::from_conf(config)
    }
}

/// In hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Real files: this repository's, and those that no Rust project lacks.
pub(crate) fn files() -> Result<Vec<(String, Vec<u8>)>> {
    // As cargo says now: the binary may have been built from another checkout.
    let package = std::env::var("CARGO_MANIFEST_DIR").context("run by cargo test")?;
    let root = Path::new(&package).parent().context("the repository")?;
    ["LICENSE", "Cargo.lock", "tests/Cargo.toml", "tests/sdk/aws_sdk_s3.rs"]
        .into_iter()
        .map(|name| Ok((name.to_owned(), std::fs::read(root.join(name))?)))
        .collect()
}
