"""The life of a `shardlake dev`: first start, stop, start again, kill -9 in the middle of writes."""

import hashlib
import random
import stat
import subprocess
import threading
import urllib.request

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from support.admin import admin
from support.server import DevServer, binary, clean_environment
from support.wait import wait_until

KILLS = 3
ACKNOWLEDGED_BEFORE_KILL = 60


def CLIENT():
    version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    return "shardlake: life", version.stdout.strip()


@pytest.fixture
def server(tmp_path):
    server = DevServer(tmp_path)
    yield server
    server.close()
    server.assert_no_panic()


def test_first_start_tells_what_one_needs(server):
    server.start()
    endpoint = server.endpoint
    output = server.output()
    for needed in (endpoint.url, endpoint.access_key, endpoint.secret_key, server.admin, "aws "):
        assert needed in output, f"{needed!r} is missing in:\n{output}"
    assert stat.S_IMODE(server._ready_file.stat().st_mode) == 0o600
    private = [
        path
        for path in server.data.rglob("*")
        if path.is_file() and endpoint.secret_key in path.read_text(errors="ignore")
    ]
    assert private and all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in private)
    assert sorted(path.name for path in server.data.glob("disk-*")) == [f"disk-{i}" for i in range(6)]
    for page in ("/health/live", "/health/ready", "/health/cluster", "/metrics"):
        with urllib.request.urlopen(server.admin + page, timeout=10) as answer:
            assert answer.status == 200


def test_stop_and_start_keep_data_and_keys(server, corpus):
    server.start()
    keys = (server.endpoint.access_key, server.endpoint.secret_key)
    s3 = server.endpoint.boto3()
    s3.create_bucket(Bucket="kept")
    for name in corpus.hashes:
        s3.upload_file(str(corpus[name]), "kept", name)
    upload = s3.create_multipart_upload(Bucket="kept", Key="half")["UploadId"]
    part = s3.upload_part(Bucket="kept", Key="half", UploadId=upload, PartNumber=1, Body=b"part" * 100_000)
    assert server.stop() == 0, "SIGTERM drains and exits 0"

    server.start()
    assert (server.endpoint.access_key, server.endpoint.secret_key) == keys
    assert server.output().count(keys[1]) <= 2, "the generated secret is printed at its first start only"
    s3 = server.endpoint.boto3()
    for name, expected in corpus.hashes.items():
        body = s3.get_object(Bucket="kept", Key=name)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == expected, name
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket="kept", Key="half", UploadId=upload, MultipartUpload=parts)
    assert s3.get_object(Bucket="kept", Key="half")["Body"].read() == b"part" * 100_000
    assert server.stop() == 0


def test_keys_from_the_environment(server):
    server.start(SHARDLAKE_ROOT_ACCESS_KEY="SLFROMENV", SHARDLAKE_ROOT_SECRET_KEY="from-the-environment")
    assert (server.endpoint.access_key, server.endpoint.secret_key) == ("SLFROMENV", "from-the-environment")
    server.endpoint.boto3().create_bucket(Bucket="mine")
    assert "from-the-environment" not in server.output() + server.errors()


@pytest.mark.parametrize("verb", ["status", "nodes", "disks", "classes", "shards", "workers"])
def test_admin_verbs(server, verb):
    server.start()
    answer = admin(server.endpoint, verb)
    assert answer
    if verb == "disks":
        assert len(answer) == 6 and {disk["class"] for disk in answer} == {"hot"}


def test_storage_classes_are_as_configured_and_wait_for_nothing(server):
    """Once it serves, every class has its groups; another start may change what new objects get."""
    server.start("--storage-class", "GLACIER=rs-3-3:cold:none")
    rows = {row["class"]: row for row in admin(server.endpoint, "classes")}
    assert len(rows) == 8 and all(row["writable"] > 0 for row in rows.values())
    glacier = rows["GLACIER"]
    assert (glacier["policy"], glacier["disks"], glacier["used_disks"]) == ("rs-3-3", "cold", "hot")
    assert (glacier["compression"], rows["DEEP_ARCHIVE"]["compression"]) == ("none", "zstd")
    assert (rows["STANDARD"]["policy"], rows["ONEZONE_IA"]["policy"]) == ("rs-4-2", "rs-4-1")
    assert server.stop() == 0
    server.start("--storage-class", "STANDARD_IA=rs-2-2")
    rows = {row["class"]: row for row in admin(server.endpoint, "classes")}
    assert (rows["GLACIER"]["policy"], rows["STANDARD_IA"]["policy"]) == ("rs-4-2", "rs-2-2")
    assert rows["STANDARD_IA"]["writable"] > 0


def test_shards_are_counted_as_they_are(server):
    """n shards for an object, none for a small one, also after a new start."""
    server.start()
    s3 = server.endpoint.boto3()
    s3.create_bucket(Bucket="counted")
    counts = admin(server.endpoint, "shards")
    assert counts["complete"] and counts["total"] == 0
    s3.put_object(Bucket="counted", Key="inline", Body=b"x" * 4096)
    s3.put_object(Bucket="counted", Key="sharded", Body=b"x" * 100_000)
    counts = wait_until("all shards confirmed", 30, lambda: settled(admin(server.endpoint, "shards")))
    assert counts["total"] == 6
    assert [disk["pending"] + disk["confirmed"] for disk in counts["disks"]] == [1] * 6
    assert server.stop() == 0
    server.start()
    assert admin(server.endpoint, "shards") == counts


def settled(counts: dict) -> dict | None:
    return counts if counts["complete"] and counts["pending"] == 0 else None


def test_health_verb(server):
    server.start()
    command = [binary(), "health", "--endpoint", server.admin]
    assert subprocess.run(command, env=clean_environment(), capture_output=True, timeout=30).returncode == 0
    assert server.stop() == 0
    assert subprocess.run(command, env=clean_environment(), capture_output=True, timeout=30).returncode == 1


def write_until_killed(s3, thread: int, round: int, acknowledged: dict, doubtful: dict, stop: threading.Event) -> None:
    """New keys and overwritten ones, inline and sharded; every acknowledged PUT is recorded."""
    generator = random.Random(f"{round}-{thread}")
    number = 0
    while not stop.is_set():
        number += 1
        body = generator.randbytes(generator.choice([10, 3000, 5000, 70_000, 1_500_000]))
        key = f"{round}/{thread}/{number}" if number % 3 else f"overwritten/{thread}"
        digest = hashlib.sha256(body).hexdigest()
        try:
            s3.put_object(Bucket="lake", Key=key, Body=body)
            acknowledged[key] = digest
            doubtful.pop(key, None)
        except (ClientError, BotoCoreError, OSError):
            doubtful[key] = digest  # it may have happened, or not
            return


def test_kill_9_in_the_middle_of_writes_loses_nothing(server):
    server.start()
    server.endpoint.boto3().create_bucket(Bucket="lake")
    acknowledged: dict[str, str] = {}
    doubtful: dict[str, str] = {}
    for round in range(KILLS):
        before = len(acknowledged)
        stop = threading.Event()
        s3 = server.endpoint.boto3(retries={"total_max_attempts": 1}, max_pool_connections=8)
        threads = [
            threading.Thread(target=write_until_killed, args=(s3, thread, round, acknowledged, doubtful, stop))
            for thread in range(6)
        ]
        for thread in threads:
            thread.start()
        wait_until("enough writes", 60, lambda: len(acknowledged) - before >= ACKNOWLEDGED_BEFORE_KILL)
        server.kill()
        stop.set()
        for thread in threads:
            thread.join()
        server.start()
        s3 = server.endpoint.boto3()
        for key, expected in acknowledged.items():
            body = s3.get_object(Bucket="lake", Key=key)["Body"].read()
            found = hashlib.sha256(body).hexdigest()
            assert found in (expected, doubtful.get(key)), (
                f"{key} was acknowledged, and is lost or wrong after kill {round + 1}"
            )
        listed = {
            item["Key"]
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket="lake")
            for item in page.get("Contents", [])
        }
        assert set(acknowledged) <= listed <= set(acknowledged) | set(doubtful)
    assert len(acknowledged) >= KILLS * ACKNOWLEDGED_BEFORE_KILL
    assert server.stop() == 0
