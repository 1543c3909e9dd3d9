"""deltalake: a transaction log whose commits rest on conditional PUT (If-None-Match)."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import polars
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from support.clients import package_version
from support.corpus import FLIGHTS_DISTANCE_SUM, FLIGHTS_ROWS
from support.endpoint import REGION


WRITER = Path(__file__).with_name("deltalake_writer.py")


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


def test_commits_of_several_processes(cli, options, bucket, s3):
    """Processes share nothing but the bucket: a commit that another one overwrote would lose its rows."""
    uri = f"s3://{bucket}/processes"
    names, commits, rows = ("a", "b", "c", "d"), 5, 100
    empty = polars.DataFrame(schema={"writer": polars.String, "commit": polars.Int64, "row": polars.Int64})
    write_deltalake(uri, empty, storage_options=options)
    environment = {**cli, "TABLE_OPTIONS": json.dumps(options)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-B", WRITER, uri, name, str(commits)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait(30)

    # Every commit of every writer is a version of its own, and no version is missing.
    table = DeltaTable(uri, storage_options=options)
    assert table.version() == len(names) * commits
    history = [(item["writer"], int(item["commit"])) for item in table.history() if "writer" in item]
    assert sorted(history) == sorted((name, commit) for name in names for commit in range(commits))
    turns = sum(one != other for (one, _), (other, _) in zip(history, history[1:]))
    assert turns >= len(names), f"they did not race: {history}"
    logged = [
        item["Key"].rpartition("/")[2]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="processes/_delta_log/")
        for item in page["Contents"]
    ]
    commits_logged = [name for name in logged if name.endswith(".json") and name[:20].isdigit()]
    assert commits_logged == [f"{version:020}.json" for version in range(len(names) * commits + 1)]
    read = polars.read_delta(uri, storage_options=options)
    assert read.height == len(names) * commits * rows
    assert read.unique().height == read.height, "no row is there twice"
