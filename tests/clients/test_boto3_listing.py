"""boto3: buckets and listings. Order, pages, delimiters, both versions of the API, batch delete."""

import pytest
from botocore.exceptions import ClientError
from support.clients import package_version

KEYS = sorted(
    ["a", "a/", "a/1", "a/2", "a/b/1", "a/b/2", "a0", "b/1", "b/c/1", "ä", "ö/ü", "z z", "zz&<>\"'", "~"],
    key=lambda key: key.encode(),
)


def CLIENT():
    return "boto3: listing", package_version("boto3")


@pytest.fixture
def keys(s3, bucket):
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return KEYS


def listed(page) -> list[str]:
    return [item["Key"] for item in page.get("Contents", [])]


def prefixes(page) -> list[str]:
    return [item["Prefix"] for item in page.get("CommonPrefixes", [])]


def test_keys_come_in_the_order_of_their_bytes(s3, bucket, keys):
    assert listed(s3.list_objects_v2(Bucket=bucket)) == keys
    assert listed(s3.list_objects(Bucket=bucket)) == keys


@pytest.mark.parametrize("size", [1, 2, 3, 13, 14, 15])
def test_pages_of_any_size_add_up(s3, bucket, keys, size):
    for verb in ("list_objects_v2", "list_objects"):
        pages = list(s3.get_paginator(verb).paginate(Bucket=bucket, PaginationConfig={"PageSize": size}))
        assert [key for page in pages for key in listed(page)] == keys
        assert all(len(listed(page)) <= size for page in pages)
        assert [page["IsTruncated"] for page in pages] == [True] * (len(pages) - 1) + [False]


def test_delimiter_and_prefix(s3, bucket, keys):
    top = s3.list_objects_v2(Bucket=bucket, Delimiter="/")
    assert prefixes(top) == ["a/", "b/", "ö/"]
    assert listed(top) == [key for key in keys if "/" not in key]
    assert top["KeyCount"] == len(listed(top)) + 3
    inside = s3.list_objects_v2(Bucket=bucket, Delimiter="/", Prefix="a/")
    assert (prefixes(inside), listed(inside)) == (["a/b/"], ["a/", "a/1", "a/2"])
    assert listed(s3.list_objects_v2(Bucket=bucket, Prefix="a/b")) == ["a/b/1", "a/b/2"]
    paged = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 1})
    assert [found for page in paged for found in prefixes(page)] == ["a/", "b/", "ö/"], "each prefix once"
    assert s3.list_objects_v2(Bucket=bucket, Prefix="none")["KeyCount"] == 0


def test_start_after_and_marker(s3, bucket, keys):
    assert listed(s3.list_objects_v2(Bucket=bucket, StartAfter="a/2")) == [k for k in keys if k.encode() > b"a/2"]
    assert listed(s3.list_objects(Bucket=bucket, Marker="a/2")) == [k for k in keys if k.encode() > b"a/2"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, MaxKeys=0)


def test_more_than_a_thousand_keys_and_batch_delete(s3, bucket):
    names = [f"{number:05}" for number in range(1200)]
    for name in names:
        s3.put_object(Bucket=bucket, Key=name, Body=b"")
    first = s3.list_objects_v2(Bucket=bucket)
    assert len(listed(first)) == 1000 and first["IsTruncated"]
    deleted = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": name} for name in names[:1000]]})
    assert len(deleted["Deleted"]) == 1000 and "Errors" not in deleted
    assert listed(s3.list_objects_v2(Bucket=bucket)) == names[1000:]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "none"}, {"Key": names[1000]}], "Quiet": True})
    assert "Deleted" not in quiet and "Errors" not in quiet, "deleting what is not there is fine"
    with pytest.raises(ClientError) as caught:
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": str(number)} for number in range(1001)]})
    assert caught.value.response["Error"]["Code"] == "MalformedXML"


def test_buckets(s3, bucket):
    other = f"{bucket}.second"
    s3.create_bucket(Bucket=other)
    try:
        names = [item["Name"] for item in s3.list_buckets()["Buckets"]]
        assert {bucket, other} <= set(names) and names == sorted(names)
        paged = s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1})
        assert [item["Name"] for page in paged for item in page["Buckets"]] == names
        s3.head_bucket(Bucket=other)
        assert s3.get_bucket_location(Bucket=other).get("LocationConstraint") in (None, "", "us-east-1")
        s3.put_object(Bucket=other, Key="k", Body=b"x")
        with pytest.raises(ClientError) as caught:
            s3.delete_bucket(Bucket=other)
        assert caught.value.response["Error"]["Code"] == "BucketNotEmpty"
    finally:
        s3.delete_object(Bucket=other, Key="k")
        s3.delete_bucket(Bucket=other)
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket=other)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
