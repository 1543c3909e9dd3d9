"""s3cmd: put, sync both ways, multipart, server-side copies, buckets; its own signer and XML parser."""

import pytest
from support.clients import BIN, package_version, run
from support.corpus import sha256, tree

S3CMD = BIN / "s3cmd"


def CLIENT():
    return "s3cmd", package_version("s3cmd")


@pytest.fixture
def s3cmd(endpoint, cli, tmp_path):
    """Runs s3cmd with a configuration file, as its users have it."""
    config = tmp_path / "s3cfg"
    config.write_text(
        "[default]\n"
        f"access_key = {endpoint.access_key}\n"
        f"secret_key = {endpoint.secret_key}\n"
        f"host_base = {endpoint.host}\n"
        f"host_bucket = {endpoint.host}\n"
        "use_https = False\n"
        "bucket_location = us-east-1\n"
    )
    config.chmod(0o600)
    environment = {name: value for name, value in cli.items() if not name.startswith("AWS_")}

    def call(*arguments, check=True):
        return run([S3CMD, "--config", config, "--no-progress", *arguments], environment, check=check)

    return call


def names(s3cmd, url: str) -> list[str]:
    """What `ls --recursive` shows: `date time size s3://bucket/key`."""
    lines = s3cmd("ls", "--recursive", url).stdout.splitlines()
    return sorted(line.split(maxsplit=3)[3] for line in lines)


def test_folder_round_trip(s3cmd, bucket, corpus, tmp_path):
    s3cmd("put", "--recursive", f"{corpus.folder}/", f"s3://{bucket}/corpus/")
    assert names(s3cmd, f"s3://{bucket}/") == sorted(f"s3://{bucket}/corpus/{name}" for name in corpus.hashes)
    (tmp_path / "back").mkdir()
    s3cmd("get", "--recursive", f"s3://{bucket}/corpus/", f"{tmp_path}/back/")
    assert tree(tmp_path / "back") == corpus.hashes
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}/corpus/")
    assert names(s3cmd, f"s3://{bucket}/") == []


def test_sync_both_ways_moves_only_what_changed(s3cmd, bucket, corpus, tmp_path):
    source, mirror = tmp_path / "source", tmp_path / "mirror"
    for name in ("images/astronaut.png", "images/china.jpg", "csv/airports.csv", "csv/weather.csv"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(corpus[name].read_bytes())
    assert s3cmd("sync", f"{source}/", f"s3://{bucket}/").stdout.count("upload:") == 4
    assert "upload:" not in s3cmd("sync", f"{source}/", f"s3://{bucket}/").stdout
    (source / "images/china.jpg").unlink()
    (source / "csv/airports.csv").write_bytes(corpus["csv/weather.csv"].read_bytes())
    again = s3cmd("sync", "--delete-removed", f"{source}/", f"s3://{bucket}/").stdout
    assert again.count("upload:") + again.count("remote copy:") == 1 and again.count("delete:") == 1, again
    s3cmd("sync", f"s3://{bucket}/", f"{mirror}/")
    assert tree(mirror) == tree(source)
    assert "download:" not in s3cmd("sync", f"s3://{bucket}/", f"{mirror}/").stdout


def test_multipart_copy_and_move(s3cmd, bucket, corpus, tmp_path, s3):
    flights = corpus["csv/flights.csv"]
    s3cmd("put", "--multipart-chunk-size-mb=5", flights, f"s3://{bucket}/flights.csv")
    assert s3.head_object(Bucket=bucket, Key="flights.csv")["ETag"].strip('"').endswith("-6")
    assert s3cmd("multipart", f"s3://{bucket}/").stdout.count("flights.csv") == 0, "no upload is left open"
    s3cmd("cp", f"s3://{bucket}/flights.csv", f"s3://{bucket}/deep/er/copy.csv")
    s3cmd("mv", f"s3://{bucket}/deep/er/copy.csv", f"s3://{bucket}/moved & renamed.csv")
    assert names(s3cmd, f"s3://{bucket}/") == [f"s3://{bucket}/flights.csv", f"s3://{bucket}/moved & renamed.csv"]
    s3cmd("get", f"s3://{bucket}/moved & renamed.csv", tmp_path / "back.csv")
    assert sha256(tmp_path / "back.csv") == corpus.hashes["csv/flights.csv"]
    # A download that broke off goes on where it stopped.
    half = flights.read_bytes()[: 10 << 20]
    (tmp_path / "half.csv").write_bytes(half)
    s3cmd("get", "--continue", f"s3://{bucket}/flights.csv", tmp_path / "half.csv")
    assert sha256(tmp_path / "half.csv") == corpus.hashes["csv/flights.csv"]


def test_headers_and_usage(s3cmd, bucket, corpus, s3):
    header = ["--mime-type=text/csv", "--add-header=Cache-Control: max-age=60", "--add-header=x-amz-meta-source: faa"]
    s3cmd("put", *header, corpus["csv/airports.csv"], f"s3://{bucket}/airports.csv")
    head = s3.head_object(Bucket=bucket, Key="airports.csv")
    assert (head["ContentType"], head["CacheControl"], head["Metadata"]["source"]) == ("text/csv", "max-age=60", "faa")
    used = s3cmd("du", f"s3://{bucket}/").stdout.split()
    assert used[:2] == [str(corpus["csv/airports.csv"].stat().st_size), "1"]


def test_default_region(s3cmd, bucket):
    """s3cmd calls its default region US and signs with that, until the server tells it a better one."""
    s3cmd("mb", "--region=US", f"s3://{bucket}-2")
    s3cmd("rb", "--region=US", f"s3://{bucket}-2")


def test_buckets_and_errors(s3cmd, bucket):
    other = f"{bucket}-2"
    s3cmd("mb", f"s3://{other}")
    assert f"s3://{other}" in s3cmd("ls").stdout
    s3cmd("rb", f"s3://{other}")
    assert f"s3://{other}" not in s3cmd("ls").stdout
    gone = s3cmd("ls", f"s3://{other}", check=False)
    assert gone.returncode != 0 and "NoSuchBucket" in gone.stderr
    none = s3cmd("get", f"s3://{bucket}/none", "-", check=False)
    assert none.returncode != 0 and "does not exist" in none.stderr
