//! The crate object_store, on which polars, deltalake and DataFusion stand, against the built
//! binary: real files, ranges, listings, copies, and the conditional writes that table formats
//! rest on.

mod server;
mod transport;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt};
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, UpdateVersion,
    aws::{AmazonS3, AmazonS3Builder, Checksum, S3CopyIfNotExists},
    path::Path,
};
use server::{Server, binary, files, sha256};
use transport::Plain;

const PART: usize = 8 << 20;
/// Tasks that increment one counter.
const WRITERS: usize = 6;
/// How often each of them does.
const ROUNDS: usize = 5;

/// A store over one bucket, as its users build it.
fn store(server: &Server, bucket: &str, copies: S3CopyIfNotExists) -> Result<AmazonS3> {
    let builder = AmazonS3Builder::new()
        .with_endpoint(&server.url)
        .with_allow_http(true)
        .with_http_connector(Plain)
        .with_region("us-east-1")
        .with_bucket_name(bucket)
        .with_access_key_id(&server.access_key)
        .with_secret_access_key(&server.secret_key)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_copy_if_not_exists(copies);
    Ok(builder.build()?)
}

async fn read(store: &AmazonS3, key: &Path) -> Result<Vec<u8>> {
    Ok(store.get(key).await?.bytes().await?.to_vec())
}

async fn put_list_get(store: &AmazonS3) -> Result<()> {
    let files = files()?;
    for (name, body) in &files {
        store.put(&Path::from(name.as_str()), body.clone().into()).await?;
    }
    let listed: Vec<_> = store.list(None).try_collect().await?;
    let mut expected: Vec<_> =
        files.iter().map(|(name, body)| (name.clone(), body.len() as u64)).collect();
    expected.sort_unstable();
    let found: Vec<_> =
        listed.iter().map(|object| (object.location.to_string(), object.size)).collect();
    ensure!(found == expected, "listed {found:?}, stored {expected:?}");
    for (name, body) in &files {
        let key = Path::from(name.as_str());
        ensure!(sha256(&read(store, &key).await?) == sha256(body), "{name} came back changed");
        let head = store.head(&key).await?;
        let object = listed.iter().find(|object| object.location == key).context("it is listed")?;
        ensure!((&head.e_tag, head.size) == (&object.e_tag, object.size), "{head:?} {object:?}");
        ensure!(head.last_modified == object.last_modified, "{head:?} {object:?}");
    }
    let folder = store.list_with_delimiter(Some(&Path::from("tests"))).await?;
    ensure!(folder.common_prefixes == [Path::from("tests/sdk")], "{folder:?}");
    ensure!(folder.objects.len() == 1, "{folder:?}");
    let after = store.list_with_offset(None, &Path::from("LICENSE"));
    let after: Vec<_> = after.map_ok(|object| object.location.to_string()).try_collect().await?;
    ensure!(after == ["tests/Cargo.toml", "tests/sdk/aws_sdk_s3.rs"], "{after:?}");
    let none = store.get(&Path::from("none")).await;
    ensure!(matches!(none, Err(Error::NotFound { .. })), "{none:?}");
    Ok(())
}

async fn ranges_and_conditions(store: &AmazonS3) -> Result<()> {
    let key = Path::from("Cargo.lock");
    let body = read(store, &key).await?;
    let some = store.get_ranges(&key, &[0..10, 5000..6000, 5500..5600, 20_000..20_001]).await?;
    ensure!(some[0] == body[..10] && some[1] == body[5000..6000], "ranges");
    ensure!(some[2] == body[5500..5600] && some[3] == body[20_000..20_001], "ranges");
    let get = |options| store.get_opts(&key, options);
    let tail = get(GetOptions::new().with_range(Some(GetRange::Suffix(100)))).await?;
    ensure!(tail.bytes().await? == body[body.len() - 100..], "the last 100 bytes");
    let rest = get(GetOptions::new().with_range(Some(GetRange::Offset(20_000)))).await?;
    ensure!(rest.bytes().await? == body[20_000..], "from an offset on");
    let etag = store.head(&key).await?.e_tag.context("an entity tag")?;
    let unchanged = get(GetOptions::new().with_if_none_match(Some(&etag))).await;
    ensure!(matches!(unchanged, Err(Error::NotModified { .. })), "{unchanged:?}");
    let other = get(GetOptions::new().with_if_match(Some("\"0123456789abcdef\""))).await;
    ensure!(matches!(other, Err(Error::Precondition { .. })), "{other:?}");
    ensure!(get(GetOptions::new().with_if_match(Some(etag))).await?.bytes().await? == body);
    Ok(())
}

async fn attributes(store: &AmazonS3) -> Result<()> {
    let key = Path::from("with attributes/ä+b.csv");
    let attributes = Attributes::from_iter([
        (Attribute::ContentType, "text/csv"),
        (Attribute::CacheControl, "max-age=60"),
        (Attribute::Metadata("source".into()), "here"),
    ]);
    let options = PutOptions { attributes: attributes.clone(), ..Default::default() };
    store.put_opts(&key, "a,b\n".into(), options).await?;
    let found = store.get(&key).await?;
    ensure!(found.attributes == attributes, "{:?}", found.attributes);
    store.delete(&key).await?;
    Ok(())
}

async fn multipart(store: &AmazonS3) -> Result<()> {
    let key = Path::from("shardlake");
    let body = std::fs::read(binary()?)?;
    let mut upload = store.put_multipart(&key).await?;
    let parts = body.chunks(PART).map(|chunk| upload.put_part(chunk.to_vec().into()));
    // Not one after the other: the parts are on their way together.
    futures::future::try_join_all(parts.collect::<Vec<_>>()).await?;
    upload.complete().await?;
    ensure!(sha256(&read(store, &key).await?) == sha256(&body), "multipart came back changed");
    let border = PART as u64;
    let middle = store.get_range(&key, border - 5..border + 5).await?;
    ensure!(middle == body[PART - 5..PART + 5], "a range over the border of two parts");
    let mut aborted = store.put_multipart(&Path::from("aborted")).await?;
    aborted.put_part(body[..PART].to_vec().into()).await?;
    aborted.abort().await?;
    let none = store.head(&Path::from("aborted")).await;
    ensure!(matches!(none, Err(Error::NotFound { .. })), "{none:?}");
    Ok(())
}

/// Copies that only create: by a multipart upload that is completed conditionally (AWS's way
/// of long standing) and by a condition on CopyObject.
async fn copies(server: &Server, bucket: &str) -> Result<()> {
    let header = S3CopyIfNotExists::Header("if-none-match".into(), "*".into());
    for copies in [S3CopyIfNotExists::Multipart, header] {
        let store = store(server, bucket, copies)?;
        let (from, to) = (Path::from("LICENSE"), Path::from("copies/of the license"));
        let body = read(&store, &from).await?;
        store.copy_if_not_exists(&from, &to).await?;
        let again = store.copy_if_not_exists(&Path::from("Cargo.lock"), &to).await;
        ensure!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
        ensure!(read(&store, &to).await? == body, "the refused copy changed nothing");
        let moved = Path::from("copies/moved");
        store.rename_if_not_exists(&to, &moved).await?;
        let gone = store.head(&to).await;
        ensure!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
        store.copy(&Path::from("Cargo.lock"), &to).await?;
        let taken = store.rename_if_not_exists(&to, &moved).await;
        ensure!(matches!(taken, Err(Error::AlreadyExists { .. })), "{taken:?}");
        ensure!(read(&store, &moved).await? == body, "the refused rename changed nothing");
        store.rename(&to, &moved).await?;
        ensure!(read(&store, &moved).await? == read(&store, &Path::from("Cargo.lock")).await?);
        store.delete(&moved).await?;
    }
    Ok(())
}

async fn conditional_puts(store: &AmazonS3) -> Result<()> {
    let key = Path::from("conditional");
    let put = |body: &'static str, mode| store.put_opts(&key, body.into(), PutMode::into(mode));
    let nothing = UpdateVersion { e_tag: Some("\"0123456789abcdef\"".into()), version: None };
    let early = put("x", PutMode::Update(nothing)).await;
    ensure!(matches!(early, Err(Error::Precondition { .. })), "{early:?}");
    let first = put("one", PutMode::Create).await?;
    let again = put("two", PutMode::Create).await;
    ensure!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    put("two", PutMode::Update(first.clone().into())).await?;
    let stale = put("three", PutMode::Update(first.into())).await;
    ensure!(matches!(stale, Err(Error::Precondition { .. })), "{stale:?}");
    ensure!(read(store, &key).await? == b"two");
    store.delete(&key).await?;

    // Of many that create at once one wins, and it is the one whose bytes are there.
    let create = async |number: usize| {
        let body = format!("writer {number}");
        match store.put_opts(&key, body.clone().into(), PutMode::Create.into()).await {
            Ok(_) => Ok(Some(body)),
            Err(Error::AlreadyExists { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    };
    let created = futures::future::try_join_all((0..16).map(create)).await?;
    let winners: Vec<_> = created.into_iter().flatten().collect();
    ensure!(winners.len() == 1, "{winners:?}");
    ensure!(read(store, &key).await? == winners[0].as_bytes());

    // A counter that everybody increments: an update that is lost would be missing in the sum.
    store.put(&key, "0".into()).await?;
    futures::future::try_join_all((0..WRITERS).map(|_| increment(store, &key))).await?;
    let sum = read(store, &key).await?;
    ensure!(sum == (WRITERS * ROUNDS).to_string().as_bytes(), "{}", String::from_utf8_lossy(&sum));
    Ok(())
}

/// Adds one, `ROUNDS` times: reads, and writes if nobody else wrote meanwhile.
async fn increment(store: &AmazonS3, key: &Path) -> Result<()> {
    for _ in 0..ROUNDS {
        loop {
            let found = store.get(key).await?;
            let version = UpdateVersion {
                e_tag: found.meta.e_tag.clone(),
                version: found.meta.version.clone(),
            };
            let number: usize = std::str::from_utf8(&found.bytes().await?)?.parse()?;
            let body = (number + 1).to_string();
            match store.put_opts(key, body.into(), PutMode::Update(version).into()).await {
                Ok(_) => break,
                Err(Error::Precondition { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

async fn delete_all(store: &AmazonS3) -> Result<()> {
    let keys = store.list(None).map_ok(|object| object.location).boxed();
    let deleted: Vec<_> = store.delete_stream(keys).try_collect().await?;
    ensure!(deleted.len() >= files()?.len(), "{deleted:?}");
    let left: Vec<_> = store.list(None).try_collect().await?;
    ensure!(left.is_empty(), "still there: {left:?}");
    Ok(())
}

#[tokio::test]
async fn real_files_and_conditional_puts() -> Result<()> {
    let server = Server::start()?;
    let bucket = format!("rust-object-store-{}", std::process::id());
    // object_store has no word for buckets.
    let client = server.client();
    client.create_bucket().bucket(&bucket).send().await.context("create bucket")?;
    let store = store(&server, &bucket, S3CopyIfNotExists::Multipart)?;
    put_list_get(&store).await.context("put, list, get")?;
    ranges_and_conditions(&store).await.context("ranges")?;
    attributes(&store).await.context("attributes")?;
    multipart(&store).await.context("multipart")?;
    copies(&server, &bucket).await.context("copies")?;
    conditional_puts(&store).await.context("conditional puts")?;
    delete_all(&store).await.context("delete")?;
    // Nothing is left open: else the bucket could not be deleted.
    client.delete_bucket().bucket(&bucket).send().await.context("delete bucket")?;
    Ok(())
}
