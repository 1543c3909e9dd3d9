"""boto3: objects one by one. Metadata, ranges, conditions, copies, checksums, presigned links."""

import base64
import hashlib
import http.client
import urllib.request
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from support.clients import package_version
from support.endpoint import REGION


def CLIENT():
    return "boto3: objects", package_version("boto3")


def code(caught) -> str:
    return caught.value.response["Error"]["Code"]


def status(caught) -> int:
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_round_trip_of_every_file(s3, bucket, corpus):
    for name, expected in corpus.hashes.items():
        body = corpus[name].read_bytes()
        put = s3.put_object(Bucket=bucket, Key=name, Body=body)
        assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        got = s3.get_object(Bucket=bucket, Key=name)
        assert got["ContentLength"] == len(body)
        assert hashlib.sha256(got["Body"].read()).hexdigest() == expected
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert {item["Key"]: item["Size"] for item in listed} == {
        name: corpus[name].stat().st_size for name in corpus.hashes
    }
    for name in corpus.hashes:
        s3.delete_object(Bucket=bucket, Key=name)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 65_536, 1_048_575, 4_194_304, 4_194_305, 9_999_991])
def test_sizes_around_every_boundary(s3, bucket, corpus, size):
    """Inline and sharded, one stripe and several, odd lengths: the bytes and their ranges come back."""
    body = corpus["csv/flights.csv"].read_bytes()[:size]
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
    for first, last in ((0, 0), (size // 2, size // 2 + 100), (max(size - 1, 0), size + 10)):
        if first < size:
            part = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
            assert part["Body"].read() == body[first : last + 1]
            assert part["ContentRange"] == f"bytes {first}-{min(last, size - 1)}/{size}"
    if size:
        assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=-7")["Body"].read() == body[-7:]
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={size}-")
    assert (code(caught), status(caught)) == ("InvalidRange", 416)


def test_overwrite_shows_the_new_object_only(s3, bucket):
    for round in range(20):
        body = bytes([round]) * (1000 * round + 1)
        s3.put_object(Bucket=bucket, Key="k", Body=body)
        assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body
        assert [item["Size"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [len(body)]


def test_metadata_and_headers(s3, bucket):
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"text",
        ContentType="text/plain; charset=utf-8",
        ContentEncoding="identity",
        ContentDisposition='attachment; filename="a b.txt"',
        ContentLanguage="de",
        CacheControl="max-age=60",
        Metadata={"one": "1", "two-words": "some thing"},
    )
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == "text/plain; charset=utf-8"
    assert head["ContentDisposition"] == 'attachment; filename="a b.txt"'
    assert head["ContentLanguage"] == "de"
    assert head["CacheControl"] == "max-age=60"
    assert head["Metadata"] == {"one": "1", "two-words": "some thing"}
    got = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="application/x-other")
    assert got["ContentType"] == "application/x-other"
    assert got["ResponseMetadata"]["RequestId"]


def test_conditional_reads(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"one")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    assert s3.get_object(Bucket=bucket, Key="k", IfMatch=etag)["Body"].read() == b"one"
    for wrong, expected in (
        ({"IfMatch": '"0123456789abcdef0123456789abcdef"'}, 412),
        ({"IfNoneMatch": etag}, 304),
        ({"IfModifiedSince": modified}, 304),
        ({"IfUnmodifiedSince": modified.replace(year=2001)}, 412),
    ):
        with pytest.raises(ClientError) as caught:
            s3.get_object(Bucket=bucket, Key="k", **wrong)
        assert status(caught) == expected, wrong


def test_conditional_writes(s3, bucket):
    first = s3.put_object(Bucket=bucket, Key="k", Body=b"one", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfNoneMatch="*")
    assert (code(caught), status(caught)) == ("PreconditionFailed", 412)
    second = s3.put_object(Bucket=bucket, Key="k", Body=b"two", IfMatch=first)["ETag"]
    assert second != first
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"three", IfMatch=first)
    assert status(caught) == 412
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="none", Body=b"x", IfMatch=first)
    assert (code(caught), status(caught)) == ("NoSuchKey", 404)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"


def test_copy(s3, bucket, corpus):
    body = corpus["images/astronaut.png"].read_bytes()
    s3.put_object(Bucket=bucket, Key="a b+c/ä.png", Body=body, ContentType="image/png", Metadata={"m": "1"})
    source = {"Bucket": bucket, "Key": "a b+c/ä.png"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    copied = s3.get_object(Bucket=bucket, Key="copy")
    assert copied["Body"].read() == body
    assert (copied["ContentType"], copied["Metadata"]) == ("image/png", {"m": "1"})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, MetadataDirective="REPLACE", Metadata={"m": "2"})
    assert s3.head_object(Bucket=bucket, Key="copy")["Metadata"] == {"m": "2"}
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "none"})
    assert code(caught) == "NoSuchKey"
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "copy"})
    assert code(caught) == "InvalidRequest", "a copy onto itself that changes nothing"
    # The copy does not depend on its source.
    s3.delete_object(Bucket=bucket, Key="a b+c/ä.png")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums_are_kept_and_verified(s3, bucket, corpus, algorithm):
    body = corpus["images/flower.jpg"].read_bytes()
    field = f"Checksum{algorithm}"
    if algorithm in ("CRC32", "SHA1", "SHA256"):
        put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
        value = put[field]
        if algorithm == "SHA256":
            assert value == base64.b64encode(hashlib.sha256(body).digest()).decode()
    else:  # botocore computes these only with an extra library; the values are fixed by the file
        value = {"CRC32C": CRC32C, "CRC64NVME": CRC64NVME}[algorithm](body)
        s3.put_object(Bucket=bucket, Key="k", Body=body, **{field: value})
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert head[field] == value
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    assert attributes["Checksum"][field] == value
    assert attributes["ObjectSize"] == len(body)
    wrong = base64.b64encode(bytes(len(base64.b64decode(value)))).decode()
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"other", **{field: wrong})
    assert (code(caught), status(caught)) == ("BadDigest", 400)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body, "the refused PUT left nothing behind"


def _crc(body: bytes, width: int, polynomial: int) -> str:
    """A reflected CRC, all ones in and out, bit-tables built here: slow, and independent of the server."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    mask = (1 << width) - 1
    value = mask
    for byte in body:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return base64.b64encode((value ^ mask).to_bytes(width // 8, "big")).decode()


def CRC32C(body: bytes) -> str:
    return _crc(body, 32, 0x82F63B78)


def CRC64NVME(body: bytes) -> str:
    return _crc(body, 64, 0x9A6C9329AC4BC9B5)


def test_presigned_put_get_delete(s3, bucket):
    def link(verb: str, **more) -> str:
        return s3.generate_presigned_url(verb, Params={"Bucket": bucket, "Key": "ä b", **more}, ExpiresIn=60)

    put = urllib.request.Request(link("put_object"), data=b"by link", method="PUT")
    assert urllib.request.urlopen(put).status == 200
    assert urllib.request.urlopen(link("get_object")).read() == b"by link"
    assert urllib.request.urlopen(urllib.request.Request(link("delete_object"), method="DELETE")).status == 204
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(link("get_object").replace("X-Amz-Expires=60", "X-Amz-Expires=61"))
    assert caught.value.code == 403


def test_virtual_host_addressing(endpoint, s3, bucket):
    """The bucket in the host name: the SDKs' default form, here under `localhost`."""
    port = urlsplit(endpoint.url).port
    virtual = boto3.client(
        "s3",
        endpoint_url=f"http://localhost:{port}",
        region_name=REGION,
        aws_access_key_id=endpoint.access_key,
        aws_secret_access_key=endpoint.secret_key,
        config=Config(s3={"addressing_style": "virtual"}, signature_version="s3v4"),
    )
    url = urlsplit(virtual.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"}))
    assert url.netloc == f"{bucket}.localhost:{port}"
    connection = http.client.HTTPConnection(urlsplit(endpoint.url).hostname, port)
    connection.request("PUT", f"{url.path}?{url.query}", body=b"virtual", headers={"Host": url.netloc})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"virtual"
