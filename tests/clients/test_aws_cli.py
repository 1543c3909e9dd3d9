"""aws cli: whole folders, sync, byte ranges, checksums, presigned links."""

import hashlib
import json
import subprocess
import urllib.error
import urllib.request

import pytest
from support.clients import BIN, package_version, run
from support.corpus import tree

AWS = BIN / "aws"


def CLIENT():
    return "aws cli", package_version("awscli")


def test_folder_round_trip(cli, bucket, corpus, tmp_path):
    run([AWS, "s3", "cp", "--recursive", corpus.folder, f"s3://{bucket}/corpus/"], cli)
    listed = run([AWS, "s3", "ls", "--recursive", f"s3://{bucket}/corpus/"], cli).stdout
    assert len(listed.splitlines()) == len(corpus.hashes)
    run([AWS, "s3", "cp", "--recursive", f"s3://{bucket}/corpus/", tmp_path / "back"], cli)
    assert tree(tmp_path / "back") == corpus.hashes
    run([AWS, "s3", "rm", "--recursive", f"s3://{bucket}/corpus/"], cli)
    assert run([AWS, "s3", "ls", "--recursive", f"s3://{bucket}/"], cli, check=False).stdout == ""


def test_sync_moves_only_what_changed(cli, bucket, corpus, tmp_path):
    images = corpus["images"]
    first = run([AWS, "s3", "sync", images, f"s3://{bucket}/"], cli).stdout
    assert first.count("upload:") == 4
    assert run([AWS, "s3", "sync", images, f"s3://{bucket}/"], cli).stdout == ""
    run([AWS, "s3", "rm", f"s3://{bucket}/china.jpg"], cli)
    run([AWS, "s3", "sync", "--delete", f"s3://{bucket}/", tmp_path / "mirror"], cli)
    assert "china.jpg" not in tree(tmp_path / "mirror")
    assert len(tree(tmp_path / "mirror")) == 3


def test_stream_in_and_out(cli, bucket, corpus):
    source = corpus["csv/flights.csv"]
    with source.open("rb") as file:
        subprocess.run([AWS, "s3", "cp", "-", f"s3://{bucket}/piped"], env=cli, stdin=file, check=True)
    out = subprocess.run([AWS, "s3", "cp", f"s3://{bucket}/piped", "-"], env=cli, capture_output=True, check=True)
    assert hashlib.sha256(out.stdout).hexdigest() == corpus.hashes["csv/flights.csv"]


def test_range_metadata_and_checksum(cli, bucket, corpus, tmp_path):
    source = corpus["images/astronaut.png"]
    put = run(
        [AWS, "s3api", "put-object", "--bucket", bucket, "--key", "a.png", "--body", source]
        + ["--content-type", "image/png", "--metadata", "camera=hasselblad", "--checksum-algorithm", "SHA256"],
        cli,
    )
    assert json.loads(put.stdout)["ETag"].strip('"') == hashlib.md5(source.read_bytes()).hexdigest()
    head = json.loads(
        run(
            [AWS, "s3api", "head-object", "--bucket", bucket, "--key", "a.png", "--checksum-mode", "ENABLED"], cli
        ).stdout
    )
    assert head["ContentType"] == "image/png"
    assert head["Metadata"] == {"camera": "hasselblad"}
    assert head["ChecksumSHA256"]
    target = tmp_path / "part"
    run([AWS, "s3api", "get-object", "--bucket", bucket, "--key", "a.png", "--range", "bytes=1000-99999", target], cli)
    assert target.read_bytes() == source.read_bytes()[1000:100_000]


def test_presigned_link_needs_no_client(cli, bucket, corpus, tmp_path):
    run([AWS, "s3", "cp", corpus["images/flower.jpg"], f"s3://{bucket}/flower.jpg"], cli)
    # Version 1 of the aws cli signs links with SigV2 unless it is told not to; that is refused.
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n  signature_version = s3v4\n")
    link = run([AWS, "s3", "presign", f"s3://{bucket}/flower.jpg"], {**cli, "AWS_CONFIG_FILE": str(config)})
    with urllib.request.urlopen(link.stdout.strip()) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == corpus.hashes["images/flower.jpg"]
    old = run([AWS, "s3", "presign", f"s3://{bucket}/flower.jpg"], cli).stdout.strip()
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(old)
    assert caught.value.code in (400, 403)


def test_buckets(cli, bucket):
    other = f"{bucket}-2"
    run([AWS, "s3", "mb", f"s3://{other}"], cli)
    assert other in run([AWS, "s3", "ls"], cli).stdout
    run([AWS, "s3", "rb", f"s3://{other}"], cli)
    assert other not in run([AWS, "s3", "ls"], cli).stdout
    refused = run([AWS, "s3", "rb", f"s3://{other}"], cli, check=False)
    assert refused.returncode != 0 and "NoSuchBucket" in refused.stderr
