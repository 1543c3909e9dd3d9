//! The AWS SDK for Rust against the built binary: real files of this repository
//! and the binary itself, by PUT and by multipart.
//!
//! Uses the server that `SHARDLAKE_ENDPOINT`, `SHARDLAKE_ACCESS_KEY` and
//! `SHARDLAKE_SECRET_KEY` name, else starts a `shardlake dev` of its own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::ProvideErrorMetadata,
    primitives::ByteStream,
    types::{
        ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
        ObjectIdentifier,
    },
};
use sha2::{Digest, Sha256};

const PART: usize = 8 << 20;

/// An endpoint, and the server behind it if it is ours; dropped, the server is killed.
struct Server {
    url: String,
    access_key: String,
    secret_key: String,
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

fn binary() -> Result<PathBuf> {
    if let Ok(path) = std::env::var("SHARDLAKE_BIN") {
        return Ok(path.into());
    }
    // This test is target/release/deps/aws_sdk_s3-HASH.
    let here = std::env::current_exe()?;
    let release = here.ancestors().nth(2).context("a test lies in target/PROFILE/deps")?;
    Ok(release.join("shardlake"))
}

impl Server {
    fn start() -> Result<Self> {
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
            .env("SHARDLAKE_ROOT_ACCESS_KEY", "SLRUSTSDK")
            .env("SHARDLAKE_ROOT_SECRET_KEY", &secret_key)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let mut server = Self {
            url: String::new(),
            access_key: "SLRUSTSDK".into(),
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

    fn client(&self) -> Client {
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

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Real files: this repository's, and those that no Rust project lacks.
fn files() -> Result<Vec<(String, Vec<u8>)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the repository")?;
    ["LICENSE", "Cargo.lock", "tests/Cargo.toml", "tests/sdk/aws_sdk_s3.rs"]
        .into_iter()
        .map(|name| Ok((name.to_owned(), std::fs::read(root.join(name))?)))
        .collect()
}

async fn read(client: &Client, bucket: &str, key: &str) -> Result<Vec<u8>> {
    let got = client
        .get_object()
        .bucket(bucket)
        .key(key)
        .checksum_mode(ChecksumMode::Enabled)
        .send()
        .await?;
    Ok(got.body.collect().await?.into_bytes().to_vec())
}

async fn put_list_get(client: &Client, bucket: &str) -> Result<()> {
    let algorithms = [
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32C,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Sha256,
    ];
    let files = files()?;
    for ((name, body), algorithm) in files.iter().zip(algorithms) {
        // The SDK sends the checksum, and on the way back it verifies the body against it.
        client
            .put_object()
            .bucket(bucket)
            .key(name)
            .checksum_algorithm(algorithm)
            .body(ByteStream::from(body.clone()))
            .send()
            .await
            .with_context(|| format!("PUT {name}"))?;
    }
    let listed = client.list_objects_v2().bucket(bucket).send().await?;
    let mut expected: Vec<_> = files.iter().map(|(name, body)| (&name[..], body.len())).collect();
    expected.sort_unstable();
    let found: Vec<_> = listed
        .contents()
        .iter()
        .map(|object| (object.key().unwrap_or(""), object.size().unwrap_or(-1) as usize))
        .collect();
    ensure!(found == expected, "listed {found:?}, stored {expected:?}");
    for (name, body) in &files {
        let back = read(client, bucket, name).await.with_context(|| format!("GET {name}"))?;
        ensure!(sha256(&back) == sha256(body), "{name} came back changed");
    }
    Ok(())
}

async fn multipart(client: &Client, bucket: &str) -> Result<()> {
    let body = std::fs::read(binary()?)?;
    let upload = client
        .create_multipart_upload()
        .bucket(bucket)
        .key("shardlake")
        .checksum_algorithm(ChecksumAlgorithm::Crc32C)
        .send()
        .await?;
    let id = upload.upload_id().context("an upload id")?;
    let mut parts = CompletedMultipartUpload::builder();
    for (number, chunk) in (1..).zip(body.chunks(PART)) {
        let part = client
            .upload_part()
            .bucket(bucket)
            .key("shardlake")
            .upload_id(id)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32C)
            .body(ByteStream::from(chunk.to_vec()))
            .send()
            .await
            .with_context(|| format!("part {number}"))?;
        let done = CompletedPart::builder()
            .part_number(number)
            .set_e_tag(part.e_tag().map(Into::into))
            .set_checksum_crc32_c(part.checksum_crc32_c().map(Into::into));
        parts = parts.parts(done.build());
    }
    client
        .complete_multipart_upload()
        .bucket(bucket)
        .key("shardlake")
        .upload_id(id)
        .multipart_upload(parts.build())
        .send()
        .await
        .context("complete")?;
    let back = read(client, bucket, "shardlake").await?;
    ensure!(sha256(&back) == sha256(&body), "the multipart object came back changed");
    let middle = client
        .get_object()
        .bucket(bucket)
        .key("shardlake")
        .range(format!("bytes={}-{}", PART - 5, PART + 4))
        .send()
        .await?;
    let middle = middle.body.collect().await?.into_bytes();
    ensure!(middle == body[PART - 5..PART + 5], "a range over the border of two parts");
    Ok(())
}

async fn errors(client: &Client, bucket: &str) -> Result<()> {
    let none = client.get_object().bucket(bucket).key("none").send().await;
    let error = none.err().context("a key that is not there")?.into_service_error();
    ensure!(error.is_no_such_key(), "{error:?}");
    let again = client
        .put_object()
        .bucket(bucket)
        .key("LICENSE")
        .if_none_match("*")
        .body(ByteStream::from_static(b"other"))
        .send()
        .await;
    let error = again.err().context("the key is there")?.into_service_error();
    ensure!(error.code() == Some("PreconditionFailed"), "{error:?}");
    Ok(())
}

async fn delete_all(client: &Client, bucket: &str) -> Result<()> {
    let listed = client.list_objects_v2().bucket(bucket).send().await?;
    let keys: Vec<_> = listed
        .contents()
        .iter()
        .map(|object| ObjectIdentifier::builder().key(object.key().unwrap_or("")).build())
        .collect::<Result<_, _>>()?;
    let batch = Delete::builder().set_objects(Some(keys)).build()?;
    let deleted = client.delete_objects().bucket(bucket).delete(batch).send().await?;
    ensure!(deleted.errors().is_empty(), "{:?}", deleted.errors());
    let left = client.list_objects_v2().bucket(bucket).send().await?;
    ensure!(left.contents().is_empty(), "still there: {:?}", left.contents());
    client.delete_bucket().bucket(bucket).send().await?;
    Ok(())
}

#[tokio::test]
async fn real_files_there_and_back() -> Result<()> {
    let server = Server::start()?;
    let client = server.client();
    let bucket = format!("rust-sdk-{}", std::process::id());
    client.create_bucket().bucket(&bucket).send().await.context("create bucket")?;
    put_list_get(&client, &bucket).await?;
    multipart(&client, &bucket).await?;
    errors(&client, &bucket).await?;
    delete_all(&client, &bucket).await
}
