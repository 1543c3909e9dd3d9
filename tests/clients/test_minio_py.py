"""The MinIO client for Python: its own signer, streams of unknown length, compose, presigned links."""

import hashlib
import io
import urllib.request
from datetime import timedelta

import pytest
from minio import Minio
from minio.commonconfig import REPLACE, ComposeSource, CopySource
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from support.clients import package_version
from support.corpus import sha256

MIB = 1 << 20


def CLIENT():
    return "minio (Python)", package_version("minio")


@pytest.fixture
def client(endpoint):
    # No region: the client asks for it (GetBucketLocation).
    return Minio(endpoint.host, access_key=endpoint.access_key, secret_key=endpoint.secret_key, secure=False)


def read(client, bucket: str, key: str, **more) -> bytes:
    answer = client.get_object(bucket, key, **more)
    try:
        return answer.read()
    finally:
        answer.close()
        answer.release_conn()


def test_files_there_and_back(client, bucket, corpus, tmp_path):
    for name in corpus.hashes:
        client.fput_object(bucket, name, str(corpus[name]), metadata={"sha256": corpus.hashes[name]})
    listed = {item.object_name: item.size for item in client.list_objects(bucket, recursive=True)}
    assert listed == {name: corpus[name].stat().st_size for name in corpus.hashes}
    folders = [item.object_name for item in client.list_objects(bucket) if item.is_dir]
    assert folders == ["csv/", "images/", "orc/", "parquet/", "zip/"]
    after = [item.object_name for item in client.list_objects(bucket, recursive=True, start_after="orc/")]
    assert after == sorted(name for name in corpus.hashes if name > "orc/")
    for name, expected in corpus.hashes.items():
        found = client.stat_object(bucket, name)
        assert found.metadata["x-amz-meta-sha256"] == expected
        client.fget_object(bucket, name, str(tmp_path / "back"))
        assert sha256(tmp_path / "back") == expected
    errors = list(client.remove_objects(bucket, [DeleteObject(name) for name in corpus.hashes]))
    assert errors == []
    assert list(client.list_objects(bucket, recursive=True)) == []


def test_stream_of_unknown_length(client, bucket, corpus):
    """The length is not known, so it goes out in parts as it comes."""
    with corpus["csv/flights.csv"].open("rb") as file:
        done = client.put_object(bucket, "piped.csv", file, length=-1, part_size=5 * MIB, content_type="text/csv")
    assert done.etag.endswith("-6")
    assert hashlib.sha256(read(client, bucket, "piped.csv")).hexdigest() == corpus.hashes["csv/flights.csv"]
    body = corpus["csv/flights.csv"].read_bytes()
    assert read(client, bucket, "piped.csv", offset=5 * MIB - 3, length=6) == body[5 * MIB - 3 : 5 * MIB + 3]


def test_copy_and_compose(client, bucket, corpus):
    image, table = corpus["images/astronaut.png"], corpus["csv/flights.csv"]
    client.fput_object(bucket, "a b/ä+.png", str(image), content_type="image/png")
    copied = client.copy_object(bucket, "copy.png", CopySource(bucket, "a b/ä+.png"))
    assert copied.etag == client.stat_object(bucket, "a b/ä+.png").etag
    source = CopySource(bucket, "copy.png")
    client.copy_object(bucket, "copy.png", source, metadata={"camera": "hasselblad"}, metadata_directive=REPLACE)
    assert client.stat_object(bucket, "copy.png").metadata["x-amz-meta-camera"] == "hasselblad"
    assert read(client, bucket, "copy.png") == image.read_bytes()
    # Server-side concatenation by UploadPartCopy.
    client.fput_object(bucket, "table", str(table))
    client.compose_object(bucket, "both", [ComposeSource(bucket, "table"), ComposeSource(bucket, "copy.png")])
    assert read(client, bucket, "both") == table.read_bytes() + image.read_bytes()


def test_conditions(client, bucket):
    done = client.put_object(bucket, "k", io.BytesIO(b"one"), 3)
    with pytest.raises(S3Error) as caught:
        client.copy_object(bucket, "copy", CopySource(bucket, "k", match_etag="0123456789abcdef0123456789abcdef"))
    assert caught.value.code == "PreconditionFailed"
    client.copy_object(bucket, "copy", CopySource(bucket, "k", match_etag=done.etag))
    assert read(client, bucket, "copy") == b"one"


def test_presigned_links(client, bucket, corpus):
    image = corpus["images/flower.jpg"]
    link = client.presigned_put_object(bucket, "flower.jpg", expires=timedelta(minutes=1))
    request = urllib.request.Request(link, data=image.read_bytes(), method="PUT")
    assert urllib.request.urlopen(request).status == 200
    link = client.presigned_get_object(bucket, "flower.jpg", expires=timedelta(minutes=1))
    with urllib.request.urlopen(link) as answer:
        assert hashlib.sha256(answer.read()).hexdigest() == corpus.hashes["images/flower.jpg"]


def test_buckets_and_errors(client, bucket):
    other = f"{bucket}-2"
    client.make_bucket(other)
    assert client.bucket_exists(other)
    assert other in [item.name for item in client.list_buckets()]
    client.remove_bucket(other)
    assert not client.bucket_exists(other)
    for call, expected in (
        (lambda: client.get_object(bucket, "none"), "NoSuchKey"),
        (lambda: client.stat_object(bucket, "none"), "NoSuchKey"),
        (lambda: client.put_object(other, "k", io.BytesIO(b"x"), 1), "NoSuchBucket"),
    ):
        with pytest.raises(S3Error) as caught:
            call()
        assert caught.value.code == expected
