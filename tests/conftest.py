"""Fixtures and the report of all suites that drive the built binary."""

import os
import time
import uuid
from pathlib import Path

import pytest
from support.corpus import Corpus
from support.endpoint import Endpoint
from support.server import DevServer

# client name -> version, as the test modules say (their CLIENT, a function that returns both).
clients: dict[str, tuple[str, str]] = {}
outcomes: dict[str, list[tuple[str, float]]] = {}
began = time.monotonic()


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory) -> Endpoint:
    """The server that SHARDLAKE_ENDPOINT names, else a `shardlake dev` of this session's own."""
    given = Endpoint.from_environment()
    if given:
        yield given
        return
    server = DevServer(tmp_path_factory.mktemp("server")).start()
    yield server.endpoint
    try:
        server.assert_no_panic()
        assert server.stop() == 0, "SIGTERM drains and exits 0"
    finally:
        server.close()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    return Corpus.make(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def s3(endpoint):
    """A boto3 client, to prepare and to look from a second side."""
    return endpoint.boto3()


@pytest.fixture
def bucket(s3) -> str:
    """A new bucket; afterwards it must be possible to empty and delete it."""
    name = f"test-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    yield name
    for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        if page.get("Contents"):
            keys = [{"Key": item["Key"]} for item in page["Contents"]]
            answer = s3.delete_objects(Bucket=name, Delete={"Objects": keys})
            assert not answer.get("Errors"), answer["Errors"]
    s3.delete_bucket(Bucket=name)


@pytest.fixture
def cli(endpoint, tmp_path):
    """The environment of a command line client."""
    return endpoint.environment(tmp_path)


def pytest_collection_modifyitems(items):
    for item in items:
        describe = getattr(item.module, "CLIENT", None)
        if describe and item.module.__name__ not in clients:
            clients[item.module.__name__] = describe()


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome == "failed":
        module = Path(report.fspath).stem
        outcomes.setdefault(module, []).append((report.outcome, report.duration))


def pytest_terminal_summary(terminalreporter):
    """Every client with its version, and how it fared."""
    if not clients:
        return
    against = os.environ.get("SHARDLAKE_ENDPOINT") or "a shardlake dev of its own"
    terminalreporter.section(f"clients against {against}")
    for module, (name, number) in sorted(clients.items()):
        results = outcomes.get(module.rpartition(".")[2], [])
        passed = sum(outcome == "passed" for outcome, _ in results)
        seconds = sum(duration for _, duration in results)
        terminalreporter.write_line(f"{name:<24} {number:<28} {passed} of {len(results)} tests passed, {seconds:.1f} s")
    terminalreporter.write_line(f"the whole run took {time.monotonic() - began:.0f} s")
