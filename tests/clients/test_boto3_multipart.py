"""boto3: multipart uploads, part by part."""

import hashlib

import pytest
from botocore.exceptions import ClientError
from support.clients import package_version

MIB = 1 << 20


def CLIENT():
    return "boto3: multipart", package_version("boto3")


@pytest.fixture
def body(corpus):
    return corpus["csv/flights.csv"].read_bytes()


def begin(s3, bucket, key="big", **more) -> str:
    return s3.create_multipart_upload(Bucket=bucket, Key=key, **more)["UploadId"]


def part(s3, bucket, upload, number, body, key="big") -> dict:
    answer = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)
    return {"PartNumber": number, "ETag": answer["ETag"]}


def complete(s3, bucket, upload, parts, key="big", **more) -> dict:
    return s3.complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **more
    )


def test_parts_in_any_order_gaps_and_rewrites(s3, bucket, body):
    upload = begin(s3, bucket, ContentType="text/csv", Metadata={"m": "1"})
    last = part(s3, bucket, upload, 900, body[12 * MIB :])
    part(s3, bucket, upload, 7, body[:MIB])  # written again below: the later one counts
    middle = part(s3, bucket, upload, 7, body[6 * MIB : 12 * MIB])
    first = part(s3, bucket, upload, 2, body[: 6 * MIB])
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0, "nothing is seen before it is complete"
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="big", UploadId=upload, PaginationConfig={"PageSize": 2}
    )
    numbers = [item["PartNumber"] for page in pages for item in page["Parts"]]
    assert numbers == [2, 7, 900]
    done = complete(s3, bucket, upload, [first, middle, last])
    etags = b"".join(bytes.fromhex(item["ETag"].strip('"')) for item in (first, middle, last))
    assert done["ETag"] == f'"{hashlib.md5(etags).hexdigest()}-3"'
    got = s3.get_object(Bucket=bucket, Key="big")
    assert got["Body"].read() == body
    assert (got["ContentType"], got["Metadata"], got["ETag"]) == ("text/csv", {"m": "1"}, done["ETag"])
    across = f"bytes={6 * MIB - 10}-{12 * MIB + 9}"
    assert s3.get_object(Bucket=bucket, Key="big", Range=across)["Body"].read() == body[6 * MIB - 10 : 12 * MIB + 10]
    second = s3.get_object(Bucket=bucket, Key="big", PartNumber=2)
    assert (second["PartsCount"], second["ResponseMetadata"]["HTTPStatusCode"]) == (3, 206)
    assert second["Body"].read() == body[6 * MIB : 12 * MIB]
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_only_the_named_parts_are_kept(s3, bucket, body):
    upload = begin(s3, bucket)
    first = part(s3, bucket, upload, 1, body[: 5 * MIB])
    part(s3, bucket, upload, 2, body[: 5 * MIB])
    third = part(s3, bucket, upload, 3, body[5 * MIB : 6 * MIB])
    complete(s3, bucket, upload, [first, third])
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == body[: 6 * MIB]


def test_upload_part_copy(s3, bucket, body):
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    upload = begin(s3, bucket)
    parts = []
    for number, (first, last) in enumerate([(0, 8 * MIB - 1), (8 * MIB, len(body) - 1)], 1):
        answer = s3.upload_part_copy(
            Bucket=bucket,
            Key="big",
            UploadId=upload,
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source"},
            CopySourceRange=f"bytes={first}-{last}",
        )
        parts.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    complete(s3, bucket, upload, parts)
    assert s3.get_object(Bucket=bucket, Key="big")["Body"].read() == body


def test_abort_forgets_everything(s3, bucket, body):
    upload = begin(s3, bucket)
    part(s3, bucket, upload, 1, body[: 5 * MIB])
    listed = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [(item["Key"], item["UploadId"]) for item in listed] == [("big", upload)]
    s3.abort_multipart_upload(Bucket=bucket, Key="big", UploadId=upload)
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    with pytest.raises(ClientError) as caught:
        part(s3, bucket, upload, 2, b"x")
    assert caught.value.response["Error"]["Code"] == "NoSuchUpload"


def test_complete_twice_gives_the_same_answer(s3, bucket, body):
    upload = begin(s3, bucket)
    parts = [part(s3, bucket, upload, 1, body[:MIB])]
    first = complete(s3, bucket, upload, parts)
    again = complete(s3, bucket, upload, parts)
    assert again["ETag"] == first["ETag"]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("small", "EntityTooSmall"),
        ("order", "InvalidPartOrder"),
        ("etag", "InvalidPart"),
        ("missing", "InvalidPart"),
        ("none", "MalformedXML"),
        ("upload", "NoSuchUpload"),
    ],
)
def test_what_cannot_be_completed(s3, bucket, body, fault, expected):
    upload = begin(s3, bucket)
    parts = [part(s3, bucket, upload, number, body[: 5 * MIB]) for number in (1, 2)]
    if fault == "small":
        parts[0] = part(s3, bucket, upload, 1, b"too small for a part that is not the last")
    elif fault == "order":
        parts.reverse()
    elif fault == "etag":
        parts[1]["ETag"] = '"0123456789abcdef0123456789abcdef"'
    elif fault == "missing":
        parts.append({"PartNumber": 3, "ETag": parts[0]["ETag"]})
    elif fault == "none":
        parts = []
    with pytest.raises(ClientError) as caught:
        complete(s3, bucket, "no-such-upload" if fault == "upload" else upload, parts)
    assert caught.value.response["Error"]["Code"] == expected
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.abort_multipart_upload(Bucket=bucket, Key="big", UploadId=upload)


@pytest.mark.parametrize("number", [0, 10_001])
def test_part_numbers_have_bounds(s3, bucket, number):
    upload = begin(s3, bucket)
    with pytest.raises(ClientError) as caught:
        part(s3, bucket, upload, number, b"x")
    assert caught.value.response["Error"]["Code"] == "InvalidArgument"
