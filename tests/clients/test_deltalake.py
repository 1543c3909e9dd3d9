"""deltalake: a transaction log whose commits rest on conditional PUT (If-None-Match)."""

import threading

import polars
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from support.clients import package_version
from support.corpus import FLIGHTS_DISTANCE_SUM, FLIGHTS_ROWS
from support.endpoint import REGION


def CLIENT():
    return "deltalake", package_version("deltalake")


@pytest.fixture
def options(endpoint):
    return {
        "AWS_ACCESS_KEY_ID": endpoint.access_key,
        "AWS_SECRET_ACCESS_KEY": endpoint.secret_key,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ALLOW_HTTP": "true",
        "aws_conditional_put": "etag",
    }


def test_table_life(options, bucket, corpus, s3):
    uri = f"s3://{bucket}/flights"
    flights = polars.from_arrow(corpus.flights)
    write_deltalake(uri, flights.filter(polars.col("month") <= 6), partition_by=["origin"], storage_options=options)
    write_deltalake(uri, flights.filter(polars.col("month") > 6), mode="append", storage_options=options)
    table = DeltaTable(uri, storage_options=options)
    assert table.version() == 1
    read = polars.read_delta(uri, storage_options=options)
    assert (read.height, read["distance"].sum()) == (FLIGHTS_ROWS, FLIGHTS_DISTANCE_SUM)
    # Delete rows, look at the past, delete the files that nothing needs any more.
    table.delete("origin = 'JFK'")
    assert polars.read_delta(uri, storage_options=options).filter(polars.col("origin") == "JFK").height == 0
    assert polars.read_delta(uri, version=0, storage_options=options).height < FLIGHTS_ROWS
    gone = table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert gone
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="flights/origin=JFK/").get("Contents", [])
    assert listed == []


def test_concurrent_writers_lose_nothing(options, bucket, corpus):
    """Four writers append at once: each commit is one PUT that only one of them can win."""
    uri = f"s3://{bucket}/race"
    rows = polars.from_arrow(corpus.flights).head(1000)
    write_deltalake(uri, rows, storage_options=options)
    errors = []

    def append():
        try:
            for _ in range(3):
                retries = CommitProperties(max_commit_retries=50)
                write_deltalake(uri, rows, mode="append", storage_options=options, commit_properties=retries)
        except Exception as error:  # handed to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert DeltaTable(uri, storage_options=options).version() == 12
    assert polars.read_delta(uri, storage_options=options).height == 13 * 1000
