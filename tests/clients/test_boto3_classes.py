"""boto3: storage classes, transitions, archives and their restores, renaming, used as their users do."""

import hashlib

import pytest
from botocore.exceptions import ClientError
from support.clients import package_version
from support.server import DevServer
from support.wait import wait_until

CLASSES = [
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "GLACIER_IR",
    "GLACIER",
    "DEEP_ARCHIVE",
]
ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
MIB = 1 << 20


def CLIENT():
    return "boto3: storage classes", package_version("boto3")


def refused(call, **arguments) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@pytest.fixture
def own(tmp_path):
    """A server of the test's own, whose days have one second."""
    server = DevServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def table(corpus) -> bytes:
    """Five megabytes of CSV: several frames, and more than one stripe."""
    return corpus["csv/flights.csv"].read_bytes()[: 5 * MIB + 12345]


@pytest.mark.parametrize("storage_class", CLASSES)
def test_every_class_keeps_what_it_is_given(s3, bucket, table, storage_class):
    s3.put_object(Bucket=bucket, Key="t.csv", Body=table, StorageClass=storage_class)
    assert s3.head_object(Bucket=bucket, Key="t.csv")["StorageClass"] == storage_class
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert (listed["StorageClass"], listed["Size"]) == (storage_class, len(table))
    if storage_class in ARCHIVES:
        assert refused(s3.get_object, Bucket=bucket, Key="t.csv") == ("InvalidObjectState", 403)
        source = {"Bucket": bucket, "Key": "t.csv"}
        assert refused(s3.copy_object, Bucket=bucket, Key="u", CopySource=source) == ("InvalidObjectState", 403)
        return
    assert digest(s3.get_object(Bucket=bucket, Key="t.csv")["Body"].read()) == digest(table)
    for first, last in [(0, 0), (MIB - 1, MIB), (3 * MIB + 7, 4 * MIB + 9), (len(table) - 5, len(table) - 1)]:
        got = s3.get_object(Bucket=bucket, Key="t.csv", Range=f"bytes={first}-{last}")["Body"].read()
        assert got == table[first : last + 1]
    s3.copy_object(Bucket=bucket, Key="u", CopySource={"Bucket": bucket, "Key": "t.csv"})
    assert "StorageClass" not in s3.head_object(Bucket=bucket, Key="u"), "a copy is STANDARD unless it says so"


def test_a_copy_onto_itself_changes_the_class(s3, bucket, table):
    s3.put_object(Bucket=bucket, Key="k", Body=table, Metadata={"a": "b"})
    s3.copy_object(
        Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"}, StorageClass="ONEZONE_IA"
    )
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["StorageClass"], head["Metadata"]) == ("ONEZONE_IA", {"a": "b"})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == table


def test_multipart_uploads_have_a_class(s3, bucket, table):
    which = {"Bucket": bucket, "Key": "k"}
    upload = s3.create_multipart_upload(**which, StorageClass="STANDARD_IA")["UploadId"]
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["StorageClass"] == "STANDARD_IA"
    parts = []
    for number, body in [(1, table), (2, b"the end")]:
        done = s3.upload_part(**which, UploadId=upload, PartNumber=number, Body=body)
        parts.append({"PartNumber": number, "ETag": done["ETag"]})
    assert s3.list_parts(**which, UploadId=upload)["StorageClass"] == "STANDARD_IA"
    s3.complete_multipart_upload(**which, UploadId=upload, MultipartUpload={"Parts": parts})
    assert s3.get_object_attributes(**which, ObjectAttributes=["StorageClass"])["StorageClass"] == "STANDARD_IA"
    assert s3.get_object(**which)["Body"].read() == table + b"the end"


def test_classes_that_are_not_here(s3, bucket):
    for storage_class in ["OUTPOSTS", "EXPRESS_ONEZONE", "standard", "SNOW"]:
        code = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", StorageClass=storage_class)
        assert code == ("InvalidStorageClass", 400), storage_class
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_rules_move_objects_from_class_to_class(own, table):
    """Reads go on throughout; each transition of the rule has its turn."""
    s3 = own.start("--lifecycle-day-seconds", "1").endpoint.boto3()
    s3.create_bucket(Bucket="lake")
    transitions = [
        {"Days": 1, "StorageClass": "INTELLIGENT_TIERING"},
        {"Days": 4, "StorageClass": "GLACIER_IR"},
        {"Days": 8, "StorageClass": "DEEP_ARCHIVE"},
    ]
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "t/"}, "Transitions": transitions}
    s3.put_bucket_lifecycle_configuration(Bucket="lake", LifecycleConfiguration={"Rules": [rule]})
    assert s3.get_bucket_lifecycle_configuration(Bucket="lake")["Rules"] == [rule]
    s3.put_object(Bucket="lake", Key="t/a", Body=table)
    s3.put_object(Bucket="lake", Key="t/small", Body=b"under 128 KiB")
    s3.put_object(Bucket="lake", Key="other", Body=table)
    etag = s3.head_object(Bucket="lake", Key="t/a")["ETag"]
    seen = []

    def archived():
        head = s3.head_object(Bucket="lake", Key="t/a")
        seen.append(head.get("StorageClass", "STANDARD"))
        assert head["ETag"] == etag
        try:
            assert s3.get_object(Bucket="lake", Key="t/a")["Body"].read() == table
        except ClientError as error:
            assert error.response["Error"]["Code"] == "InvalidObjectState"
        return seen[-1] == "DEEP_ARCHIVE"

    wait_until("the last transition", 90, archived)
    order = ["STANDARD", *(step["StorageClass"] for step in transitions)]
    assert list(dict.fromkeys(seen)) == order
    for key in ["t/small", "other"]:
        assert "StorageClass" not in s3.head_object(Bucket="lake", Key=key)
    own.assert_no_panic()
    assert own.stop() == 0


def test_archives_are_restored_for_a_while(own, table):
    s3 = own.start("--lifecycle-day-seconds", "4", "--restore-seconds", "2").endpoint.boto3()
    s3.create_bucket(Bucket="lake")
    which = {"Bucket": "lake", "Key": "k"}
    s3.put_object(**which, Body=table, StorageClass="GLACIER")
    assert "Restore" not in s3.head_object(**which)
    request = {"Days": 1, "GlacierJobParameters": {"Tier": "Standard"}}
    done = s3.restore_object(**which, RestoreRequest=request)
    assert done["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert s3.head_object(**which)["Restore"] == 'ongoing-request="true"'
    assert refused(s3.get_object, **which) == ("InvalidObjectState", 403)
    again = refused(s3.restore_object, **which, RestoreRequest=request)
    assert again == ("RestoreAlreadyInProgress", 409)

    def readable():
        return 'ongoing-request="false"' in s3.head_object(**which)["Restore"]

    wait_until("the restore", 30, readable)
    assert s3.get_object(**which)["Body"].read() == table
    longer = s3.restore_object(**which, RestoreRequest={"Days": 2})
    assert longer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.head_object(**which)["StorageClass"] == "GLACIER"

    def over():
        return "Restore" not in s3.head_object(**which)

    wait_until("the end of the restore", 60, over)
    assert refused(s3.get_object, **which) == ("InvalidObjectState", 403)
    s3.put_object(Bucket="lake", Key="plain", Body=b"x")
    plain = refused(s3.restore_object, Bucket="lake", Key="plain", RestoreRequest=request)
    assert plain == ("InvalidObjectState", 403)
    deep = {"Bucket": "lake", "Key": "deep"}
    s3.put_object(**deep, Body=b"x" * 10000, StorageClass="DEEP_ARCHIVE")
    expedited = {"Days": 1, "GlacierJobParameters": {"Tier": "Expedited"}}
    assert refused(s3.restore_object, **deep, RestoreRequest=expedited)[1] == 400
    assert own.stop() == 0


def test_renaming(s3, bucket, table):
    s3.put_object(Bucket=bucket, Key="from/a b", Body=table, Metadata={"x": "y"}, ContentType="text/csv")
    before = s3.head_object(Bucket=bucket, Key="from/a b")
    s3.rename_object(Bucket=bucket, Key="to/a", RenameSource=f"/{bucket}/from/a%20b")
    after = s3.head_object(Bucket=bucket, Key="to/a")
    for name in ["ETag", "Metadata", "ContentType", "ContentLength"]:
        assert after[name] == before[name], name
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["to/a"]
    assert s3.get_object(Bucket=bucket, Key="to/a")["Body"].read() == table
    s3.put_object(Bucket=bucket, Key="taken", Body=b"x")
    taken = {"Bucket": bucket, "Key": "taken", "RenameSource": f"/{bucket}/to/a", "DestinationIfNoneMatch": "*"}
    assert refused(s3.rename_object, **taken) == ("PreconditionFailed", 412)
    nothing = {"Bucket": bucket, "Key": "n", "RenameSource": f"/{bucket}/nothing"}
    assert refused(s3.rename_object, **nothing) == ("NoSuchKey", 404)
    assert s3.get_object(Bucket=bucket, Key="taken")["Body"].read() == b"x"
