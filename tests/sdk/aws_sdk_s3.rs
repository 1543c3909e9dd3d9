//! The AWS SDK for Rust against the built binary: real files of this repository
//! and the binary itself, by PUT and by multipart.

mod server;

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::{
    Client,
    error::ProvideErrorMetadata,
    primitives::ByteStream,
    types::{
        ChecksumAlgorithm, ChecksumMode, CompletedMultipartUpload, CompletedPart, Delete,
        ObjectIdentifier,
    },
};
use server::{Server, binary, files, sha256};

const PART: usize = 8 << 20;

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
