"""boto3: versions, object lock, tags, lifecycle rules and access logs, used as their users do."""

import datetime
import hashlib

import pytest
from botocore.exceptions import ClientError
from support.clients import package_version
from support.server import DevServer
from support.wait import wait_until


def CLIENT():
    return "boto3: versions and rules", package_version("boto3")


def refused(call, **arguments) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def versions(s3, bucket, **more) -> tuple[list[dict], list[dict]]:
    pages = list(s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **more))
    return (
        [version for page in pages for version in page.get("Versions", [])],
        [marker for page in pages for marker in page.get("DeleteMarkers", [])],
    )


def empty(s3, bucket):
    for kind in versions(s3, bucket):
        for item in kind:
            which = {"Bucket": bucket, "Key": item["Key"], "VersionId": item["VersionId"]}
            s3.delete_object(**which, BypassGovernanceRetention=True)


def later(seconds: int) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(seconds=seconds)


@pytest.fixture
def versioned(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    yield bucket
    for kind in versions(s3, bucket):
        for item in kind:
            s3.delete_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])


def test_history_of_a_table(s3, versioned, corpus):
    """Three states of a file, a deletion, and the way back."""
    states = [corpus[name].read_bytes() for name in ("csv/airports.csv", "csv/weather.csv", "csv/flights.csv")]
    ids = [s3.put_object(Bucket=versioned, Key="t/a.csv", Body=body)["VersionId"] for body in states]
    s3.put_object(Bucket=versioned, Key="t/b.csv", Body=b"other")
    gone = s3.delete_object(Bucket=versioned, Key="t/a.csv")
    assert gone["DeleteMarker"]
    assert refused(s3.get_object, Bucket=versioned, Key="t/a.csv") == ("NoSuchKey", 404)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=versioned)["Contents"]] == ["t/b.csv"]
    for version, body in zip(ids, states, strict=True):
        got = s3.get_object(Bucket=versioned, Key="t/a.csv", VersionId=version)
        assert hashlib.sha256(got["Body"].read()).digest() == hashlib.sha256(body).digest()
        assert got["VersionId"] == version
    found, markers = versions(s3, versioned, Prefix="t/a")
    assert [item["VersionId"] for item in found] == ids[::-1], "the latest first"
    assert [(item["VersionId"], item["IsLatest"]) for item in markers] == [(gone["VersionId"], True)]
    small, _ = versions(s3, versioned, PaginationConfig={"PageSize": 1})
    assert [item["VersionId"] for item in small if item["Key"] == "t/a.csv"] == ids[::-1], "page by page"

    s3.delete_object(Bucket=versioned, Key="t/a.csv", VersionId=gone["VersionId"])
    assert s3.head_object(Bucket=versioned, Key="t/a.csv")["VersionId"] == ids[2]
    copied = s3.copy_object(
        Bucket=versioned,
        Key="t/a.csv",
        CopySource={"Bucket": versioned, "Key": "t/a.csv", "VersionId": ids[0]},
    )
    assert copied["CopySourceVersionId"] == ids[0]
    assert s3.get_object(Bucket=versioned, Key="t/a.csv")["Body"].read() == states[0]
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"one", b"two"):
        s3.put_object(Bucket=versioned, Key="t/a.csv", Body=body)
    found, _ = versions(s3, versioned, Prefix="t/a")
    assert [item["VersionId"] for item in found] == ["null", copied["VersionId"], *ids[::-1]]
    assert s3.get_object(Bucket=versioned, Key="t/a.csv", VersionId="null")["Body"].read() == b"two"


def test_what_is_locked_stays(s3, bucket):
    name = f"{bucket}-lock"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    version = s3.put_object(Bucket=name, Key="k", Body=b"evidence")["VersionId"]
    which = {"Bucket": name, "Key": "k", "VersionId": version}
    assert s3.head_object(**which)["ObjectLockMode"] == "GOVERNANCE"
    assert refused(s3.delete_object, **which) == ("AccessDenied", 403)
    s3.put_object_legal_hold(**which, LegalHold={"Status": "ON"})
    assert refused(s3.delete_object, **which, BypassGovernanceRetention=True) == ("AccessDenied", 403)
    s3.put_object_legal_hold(**which, LegalHold={"Status": "OFF"})
    s3.delete_object(**which, BypassGovernanceRetention=True)

    until = later(3)
    kept = s3.put_object(
        Bucket=name, Key="c", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )["VersionId"]
    which = {"Bucket": name, "Key": "c", "VersionId": kept}
    sooner = {"Mode": "COMPLIANCE", "RetainUntilDate": later(1)}
    shorten = {"Retention": sooner, "BypassGovernanceRetention": True}
    assert refused(s3.put_object_retention, **which, **shorten) == ("AccessDenied", 403)
    assert refused(s3.delete_object, **which, BypassGovernanceRetention=True) == ("AccessDenied", 403)
    s3.delete_object(Bucket=name, Key="c")
    assert s3.get_object(**which)["Body"].read() == b"x", "a delete marker hides, and removes nothing"

    def released():
        try:
            return s3.delete_object(**which)["ResponseMetadata"]["HTTPStatusCode"] == 204
        except ClientError:
            return False

    wait_until("the end of the retention", 30, released)
    assert datetime.datetime.now(datetime.UTC) >= until
    empty(s3, name)
    s3.delete_bucket(Bucket=name)


def test_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="team=lake&stage=raw")
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "lake", "stage": "raw"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    assert len(s3.get_object_tagging(Bucket=bucket, Key="copy")["TagSet"]) == 2
    assert s3.get_object(Bucket=bucket, Key="copy")["TagCount"] == 2
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "cost", "Value": "42"}]})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [{"Key": "cost", "Value": "42"}]
    s3.delete_bucket_tagging(Bucket=bucket)
    assert refused(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)


def rule(name, **actions):
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": name}, **actions}


@pytest.fixture
def own(tmp_path):
    """A server of the test's own, whose days have two seconds."""
    server = DevServer(tmp_path)
    yield server
    server.close()


def test_rules_end_what_they_say(own):
    s3 = own.start("--lifecycle-day-seconds", "2").endpoint.boto3()
    s3.create_bucket(Bucket="lake")
    s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    rules = [
        rule("end/", Expiration={"Days": 1}),
        rule("old/", NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}),
        rule("up/", AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}),
    ]
    s3.put_bucket_lifecycle_configuration(Bucket="lake", LifecycleConfiguration={"Rules": rules})
    assert s3.get_bucket_lifecycle_configuration(Bucket="lake")["Rules"] == rules
    ended = s3.put_object(Bucket="lake", Key="end/a", Body=b"x")
    assert 'rule-id="end/"' in ended["Expiration"]
    old = [s3.put_object(Bucket="lake", Key="old/a", Body=bytes([n]))["VersionId"] for n in range(4)]
    s3.create_multipart_upload(Bucket="lake", Key="up/a")
    s3.create_multipart_upload(Bucket="lake", Key="kept/a")
    s3.put_object(Bucket="lake", Key="kept/b", Body=b"x")

    def done():
        found, markers = versions(s3, "lake")
        left = [item["VersionId"] for item in found if item["Key"] == "old/a"]
        uploads = [item["Key"] for item in s3.list_multipart_uploads(Bucket="lake").get("Uploads", [])]
        hidden = [item["Key"] for item in markers]
        return (left, uploads, hidden) == (old[:1:-1], ["kept/a"], ["end/a"])

    wait_until("the rules", 60, done)
    assert [item["Key"] for item in s3.list_objects_v2(Bucket="lake")["Contents"]] == ["kept/b", "old/a"]
    assert s3.get_object(Bucket="lake", Key="end/a", VersionId=ended["VersionId"])["Body"].read() == b"x"
    own.assert_no_panic()
    assert own.stop() == 0


def test_access_logs_are_delivered_at_the_latest_when_the_server_stops(own):
    s3 = own.start().endpoint.boto3()
    s3.create_bucket(Bucket="lake")
    s3.create_bucket(Bucket="logs")
    target = {"LoggingEnabled": {"TargetBucket": "logs", "TargetPrefix": "b/"}}
    s3.put_bucket_logging(Bucket="lake", BucketLoggingStatus=target)
    s3.put_object(Bucket="lake", Key="k", Body=b"hello")
    s3.get_object(Bucket="lake", Key="k")["Body"].read()
    assert own.stop() == 0
    s3 = own.start().endpoint.boto3()
    assert s3.get_bucket_logging(Bucket="lake")["LoggingEnabled"]["TargetBucket"] == "logs"
    text = "".join(
        s3.get_object(Bucket="logs", Key=item["Key"])["Body"].read().decode()
        for item in s3.list_objects_v2(Bucket="logs", Prefix="b/")["Contents"]
    )
    operations = [line.split(" ")[7] for line in text.splitlines()]
    assert "REST.PUT.OBJECT" in operations and "REST.GET.OBJECT" in operations, text
    assert own.stop() == 0
