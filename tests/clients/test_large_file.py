"""A file of more than 1 GiB, packed from real files, by multipart there and back: same SHA-256."""

import hashlib
import os

import pytest
from boto3.s3.transfer import TransferConfig
from support.clients import BIN, package_version, run
from support.corpus import pack, sha256

SIZE = int(os.environ.get("SHARDLAKE_LARGE_MIB", "1100")) << 20
MIB = 1 << 20


def CLIENT():
    return f"{SIZE // MIB} MiB by multipart", f"aws cli {package_version('awscli')}, boto3 {package_version('boto3')}"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "packages.tar"
    pack(path, SIZE)
    yield path, sha256(path)
    path.unlink()


def test_aws_cli(cli, bucket, large, tmp_path):
    path, expected = large
    run([BIN / "aws", "s3", "cp", "--only-show-errors", path, f"s3://{bucket}/large.tar"], cli)
    back = tmp_path / "back.tar"
    run([BIN / "aws", "s3", "cp", "--only-show-errors", f"s3://{bucket}/large.tar", back], cli)
    assert back.stat().st_size == path.stat().st_size > min(SIZE, 1 << 30)
    assert sha256(back) == expected
    back.unlink()


def test_boto3(s3, bucket, large):
    path, expected = large
    config = TransferConfig(multipart_chunksize=64 * MIB, max_concurrency=4)
    s3.upload_file(str(path), bucket, "large.tar", Config=config)
    head = s3.head_object(Bucket=bucket, Key="large.tar")
    assert head["ContentLength"] == path.stat().st_size
    parts = -(-path.stat().st_size // (64 * MIB))
    assert head["ETag"].strip('"').endswith(f"-{parts}")
    digest = hashlib.sha256()
    for piece in s3.get_object(Bucket=bucket, Key="large.tar")["Body"].iter_chunks(MIB):
        digest.update(piece)
    assert digest.hexdigest() == expected
