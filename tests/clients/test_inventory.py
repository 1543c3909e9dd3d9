"""boto3 asks for inventories of a bucket; csv and pyarrow read the reports that the server writes."""

import csv
import gzip
import hashlib
import io
import json
import subprocess
from urllib.parse import unquote, unquote_plus

import pyarrow.parquet
import pytest
from botocore.exceptions import ClientError
from support.clients import package_version
from support.server import DevServer, binary, clean_environment
from support.wait import wait_until

KEYS = ["plain", "a b+c/ä%20", 'quote"and,comma', "new\nline", "z" * 900]
FIELDS = ["Size", "LastModifiedDate", "ETag", "StorageClass", "IsMultipartUploaded", "EncryptionStatus"]


def CLIENT():
    return "boto3, pyarrow: inventory", f"{package_version('boto3')}, {package_version('pyarrow')}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server of this module's own, whose days are short."""
    server = DevServer(tmp_path_factory.mktemp("inventory")).start("--lifecycle-day-seconds", "2")
    yield server
    try:
        server.assert_no_panic()
        assert server.stop() == 0
    finally:
        server.close()


@pytest.fixture(scope="module")
def s3(server):
    s3 = server.endpoint.boto3()
    for bucket in ("source", "reports"):
        s3.create_bucket(Bucket=bucket)
    for number, key in enumerate(KEYS):
        s3.put_object(Bucket="source", Key=key, Body=b"x" * number * 3000)
    return s3


def configuration(name: str, file_format: str, **other) -> dict:
    destination = {"Bucket": "arn:aws:s3:::reports", "Format": file_format, "Prefix": "inv"}
    return {
        "Id": name,
        "IsEnabled": True,
        "IncludedObjectVersions": "Current",
        "Schedule": {"Frequency": "Daily"},
        "OptionalFields": FIELDS,
        "Destination": {"S3BucketDestination": destination},
        **other,
    }


def put(s3, configuration: dict) -> None:
    s3.put_bucket_inventory_configuration(
        Bucket="source", Id=configuration["Id"], InventoryConfiguration=configuration
    )


def read(s3, key: str) -> bytes:
    return s3.get_object(Bucket="reports", Key=key)["Body"].read()


def manifest(s3, name: str) -> dict | None:
    """The latest manifest that is complete, checked against its checksum."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="reports", Prefix=f"inv/source/{name}/2")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    sums = [key for key in keys if key.endswith("/manifest.checksum")]
    if not sums:
        return None
    text = read(s3, sums[-1].replace("manifest.checksum", "manifest.json"))
    # Two reports of one minute have the same manifest: the checksum may be a moment behind.
    if hashlib.md5(text).hexdigest() != read(s3, sums[-1]).decode():
        return None
    return json.loads(text)


def expected(s3) -> list[dict]:
    return s3.list_objects_v2(Bucket="source")["Contents"]


def data(s3, found: dict) -> bytes:
    (file,) = found["files"]
    body = read(s3, file["key"])
    assert len(body) == file["size"]
    assert hashlib.md5(body).hexdigest() == file["MD5checksum"]
    return body


def test_configurations_come_back(s3):
    given = configuration("kept", "CSV", IsEnabled=False, Filter={"Prefix": "p/"})
    put(s3, given)
    got = s3.get_bucket_inventory_configuration(Bucket="source", Id="kept")["InventoryConfiguration"]
    assert got == given
    listed = s3.list_bucket_inventory_configurations(Bucket="source")
    assert given in listed["InventoryConfigurationList"] and not listed["IsTruncated"]
    s3.delete_bucket_inventory_configuration(Bucket="source", Id="kept")
    with pytest.raises(ClientError) as error:
        s3.get_bucket_inventory_configuration(Bucket="source", Id="kept")
    assert error.value.response["Error"]["Code"] == "NoSuchConfiguration"


def test_what_is_refused(s3):
    nowhere = {"S3BucketDestination": {"Bucket": "arn:aws:s3:::nowhere-at-all", "Format": "CSV"}}
    for given, code in [
        (configuration("x", "ORC"), "NotImplemented"),
        (configuration("x", "CSV", OptionalFields=["ObjectAccessControlList"]), "NotImplemented"),
        (configuration("x", "CSV", Destination=nowhere), "InvalidS3DestinationBucket"),
        (configuration("x!", "CSV"), "InvalidConfigurationId"),
    ]:
        with pytest.raises(ClientError) as error:
            put(s3, given)
        assert error.value.response["Error"]["Code"] == code


def test_csv(s3):
    put(s3, configuration("csv", "CSV"))
    found = wait_until("a manifest", 60, lambda: manifest(s3, "csv"))
    assert found["sourceBucket"] == "source" and found["fileFormat"] == "CSV"
    names = found["fileSchema"].split(", ")
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(data(s3, found)).decode()), names))
    for row, item in zip(rows, expected(s3), strict=True):
        assert row["Bucket"] == "source"
        assert unquote(row["Key"]) == unquote_plus(row["Key"]) == item["Key"]
        assert int(row["Size"]) == item["Size"] and f'"{row["ETag"]}"' == item["ETag"]
        assert row["LastModifiedDate"][:19] == item["LastModified"].strftime("%Y-%m-%dT%H:%M:%S")
        assert (row["StorageClass"], row["EncryptionStatus"]) == ("STANDARD", "NOT-SSE")
        assert row["IsMultipartUploaded"] == "false"


def test_parquet_on_demand(s3, server):
    put(s3, configuration("parquet", "Parquet", IsEnabled=False))
    command = [binary(), "admin", "--endpoint", server.admin, "--data", server.data]
    command += ["inventory", "run", "source", "parquet"]
    subprocess.run(list(map(str, command)), check=True, timeout=60, env=clean_environment())
    found = wait_until("a manifest", 60, lambda: manifest(s3, "parquet"))
    table = pyarrow.parquet.read_table(io.BytesIO(data(s3, found)))
    for row, item in zip(table.to_pylist(), expected(s3), strict=True):
        assert (row["key"], row["size"]) == (item["Key"], item["Size"])
        assert row["last_modified_date"].replace(microsecond=0) == item["LastModified"]
        assert row["is_multipart_uploaded"] is False and row["storage_class"] == "STANDARD"
