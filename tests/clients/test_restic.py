"""restic: backups of real files in a repository on S3, restored, checked byte by byte, pruned.

restic keeps thousands of small content-addressed objects and finds them by listing: a listing that
misses one is a broken backup.
"""

import json
import secrets
import shutil
from pathlib import Path

import pytest
from support.clients import run
from support.corpus import tree

RESTIC = shutil.which("restic")


def CLIENT():
    return "restic", run([RESTIC, "version"], {}).stdout.split()[1] if RESTIC else "not installed"


@pytest.fixture
def restic(cli, bucket):
    assert RESTIC, "restic is missing: run `make test-clients`, which installs it"
    environment = {
        **cli,
        "RESTIC_REPOSITORY": f"s3:{cli['AWS_ENDPOINT_URL']}/{bucket}/backups/one",
        "RESTIC_PASSWORD": secrets.token_hex(16),
        "RESTIC_PROGRESS_FPS": "0.1",
    }

    def call(*arguments, check=True, **more):
        return run([RESTIC, *arguments], environment, check=check, **more)

    call("init")
    return call


def snapshots(restic) -> list[str]:
    return [item["short_id"] for item in json.loads(restic("snapshots", "--json").stdout)]


def restored(restic, snapshot: str, source: Path, target: Path) -> dict[str, str]:
    """Names and hashes of what a snapshot of `source` holds."""
    restic("restore", snapshot, "--target", target, "--verify")
    return tree(target / source.relative_to("/"))


def test_backup_restore_check_prune(restic, s3, bucket, corpus, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(corpus.folder, source)
    restic("backup", source)
    first = tree(source)
    (source / "images/china.jpg").unlink()
    (source / "csv/airports.csv").write_bytes(corpus["csv/weather.csv"].read_bytes())
    (source / "new folder").mkdir()
    shutil.copy(corpus["images/flower.jpg"], source / "new folder/ä flower.jpg")
    summary = restic("backup", "--json", source).stdout.splitlines()[-1]
    counts = json.loads(summary)
    assert (counts["files_new"], counts["files_changed"]) == (1, 1)
    second = tree(source)

    old, new = snapshots(restic)
    assert restored(restic, old, source, tmp_path / "old") == first
    assert restored(restic, new, source, tmp_path / "new") == second
    assert "no errors were found" in restic("check", "--read-data").stdout

    before = len(objects(s3, bucket))
    restic("forget", "--keep-last", "1", "--prune", "--max-unused", "0")
    assert snapshots(restic) == [new]
    assert "no errors were found" in restic("check", "--read-data").stdout
    assert len(objects(s3, bucket)) < before, "the old snapshot's objects are gone"
    assert restored(restic, new, source, tmp_path / "pruned") == second


def test_a_lost_object_is_found(restic, s3, bucket, corpus):
    """The check above means something: without one object it fails."""
    restic("backup", corpus["images"])
    # The largest holds file contents, which `check` looks for in the listing; others it would try to read for long.
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="backups/one/data/")["Contents"]
    pack = max(listed, key=lambda item: item["Size"])["Key"]
    s3.delete_object(Bucket=bucket, Key=pack)
    broken = restic("check", check=False)
    assert broken.returncode != 0 and "no errors were found" not in broken.stdout
    assert pack.rpartition("/")[2][:8] in broken.stdout + broken.stderr


def test_no_lock_is_left(restic, s3, bucket, corpus):
    """A lock is an object too: one that cannot be deleted, or is listed afterwards, stops the next backup."""
    restic("backup", corpus["csv/airports.csv"])
    assert not [key for key in objects(s3, bucket) if "/locks/" in key]
    wrong = restic("restore", "none", "--target", "/nonexistent", check=False)
    assert wrong.returncode != 0
    assert not [key for key in objects(s3, bucket) if "/locks/" in key], "after a failure too"


def objects(s3, bucket: str) -> list[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]
