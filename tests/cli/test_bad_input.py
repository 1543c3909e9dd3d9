"""What a user can get wrong on the command line: one clear line on stderr, exit status 2, no panic."""

import re
import socket
import subprocess
from pathlib import Path

import pytest
from support.server import DevServer, binary, clean_environment

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT")


def CLIENT():
    version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    return "shardlake: bad input", version.stdout.strip()


def refused(*arguments, seconds: float = 30, **environment: str) -> str:
    """Runs the binary, which must refuse; returns its one line."""
    done = subprocess.run(
        [str(binary()), *map(str, arguments)],
        env=clean_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    # Log lines begin with a time; none of them may sound an alarm about what the user did.
    lines = [line for line in done.stderr.strip().splitlines() if not LOG_LINE.match(line)]
    assert len(lines) == 1, done.stderr
    assert " ERROR " not in done.stderr, done.stderr
    assert "panicked" not in done.stderr
    return lines[0]


def dev(folder: Path, *more, **environment: str) -> str:
    ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    return refused("dev", "--data", folder, *(more or ports), **environment)


CONFIG = """
[cluster]
secret = "0123456789abcdef0123456789abcdef"
meta = ["1@127.0.0.1:17000"]
[node]
id = 1
data = "{data}"
listen = "127.0.0.1:0"
disks = ["{data}/disk-0"]
[gateway]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[root]
access_key = "SLTESTKEY"
secret_key = "testsecretkey"
"""


def config(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_port_in_use(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for flags in (
            ("--listen", f"127.0.0.1:{port}", "--admin-listen", "127.0.0.1:0"),
            ("--listen", "127.0.0.1:0", "--admin-listen", f"127.0.0.1:{port}"),
        ):
            assert str(port) in dev(tmp_path / "data", *flags)


def test_one_folder_serves_one_process(tmp_path):
    server = DevServer(tmp_path).start()
    try:
        line = dev(server.data)
        assert str(server.data) in line
        assert server.process.poll() is None
        assert server.endpoint.boto3().list_buckets()["Buckets"] == []
    finally:
        server.close()


def test_foreign_data_folder(tmp_path):
    """A folder that holds somebody's files is refused, and stays as it was."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"mine")
    line = dev(tmp_path / "photos")
    assert "photos" in line
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["one.jpg"]


def test_data_folder_is_a_file(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert "file" in dev(tmp_path / "file")


def test_disk_of_another_cluster(tmp_path):
    """The disks of two servers are swapped: both refuse to start on the other's."""
    servers = [DevServer(tmp_path, name).start() for name in ("one", "two")]
    for server in servers:
        assert server.stop() == 0
    first, second = (server.data / "disk-3" for server in servers)
    first.rename(tmp_path / "swap")
    second.rename(first)
    (tmp_path / "swap").rename(second)
    for server in servers:
        assert "disk-3" in dev(server.data)


def test_disks_that_changed_places(tmp_path):
    """A disk is known by what is on it, not by its folder's name: nothing is lost or mixed up."""
    server = DevServer(tmp_path).start()
    body = bytes(range(256)) * 20_000
    try:
        s3 = server.endpoint.boto3()
        s3.create_bucket(Bucket="lake")
        for number in range(20):
            s3.put_object(Bucket="lake", Key=str(number), Body=body + bytes([number]))
        assert server.stop() == 0
        (server.data / "disk-0").rename(tmp_path / "swap")
        (server.data / "disk-1").rename(server.data / "disk-0")
        (tmp_path / "swap").rename(server.data / "disk-1")
        s3 = server.start().endpoint.boto3()
        for number in range(20):
            assert s3.get_object(Bucket="lake", Key=str(number))["Body"].read() == body + bytes([number])
        assert server.stop() == 0
    finally:
        server.close()


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--policy", "rs-9"),
        ("--policy", "raid5"),
        ("--disks", "0"),
        ("--disks", "5"),
        ("--listen", "nowhere"),
        ("--no-such", "x"),
    ],
)
def test_wrong_flags(tmp_path, flag, value):
    """clap explains a flag over several lines; the status is 2 all the same, and nothing is made."""
    command = [str(binary()), "dev", "--data", str(tmp_path / "data"), "--admin-listen", "127.0.0.1:0"]
    if flag != "--listen":
        command += ["--listen", "127.0.0.1:0"]
    done = subprocess.run([*command, flag, value], env=clean_environment(), capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert value in done.stderr or flag in done.stderr
    assert "panicked" not in done.stderr
    assert not (tmp_path / "data" / "meta").exists()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("GLACIER", "write NAME="),
        ("OUTPOSTS=rs-4-2", "those that exist are"),
        ("GLACIER=rs-4-2:icy", "icy"),
        ("GLACIER=rs-4-2:hot:lz4", "lz4"),
        ("GLACIER=rs-8-4", "needs 12 disks and there are 6"),
    ],
)
def test_storage_classes_that_cannot_be(tmp_path, value, expected):
    ports = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
    assert expected in dev(tmp_path / "data", *ports, "--storage-class", value)
    assert not (tmp_path / "data" / "meta").exists()


def test_a_disk_is_named_once(tmp_path):
    text = CONFIG.replace("disks = ", 'cold_disks = ["{data}/disk-0"]\ndisks = ')
    path = config(tmp_path, text.replace("{data}", str(tmp_path / "data")))
    assert "disk-0 is named twice" in refused("data", "--config", path)


def test_keys_that_cannot_be(tmp_path):
    assert "SHARDLAKE_ROOT" in dev(tmp_path / "a", SHARDLAKE_ROOT_ACCESS_KEY="SLTESTKEY")
    assert "secret" in dev(tmp_path / "b", SHARDLAKE_ROOT_ACCESS_KEY="SLTESTKEY", SHARDLAKE_ROOT_SECRET_KEY="short")


@pytest.mark.parametrize("role", ["meta", "data", "gateway"])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[cluster\nname = ", "config.toml"),
        (CONFIG + "[node2]\n", "node2"),
        (CONFIG + "[log]\nlevel = 'info'\n", "level"),
        (CONFIG.replace("id = 1", "id = 'one'"), "id"),
        (CONFIG.replace("0123456789abcdef0123456789abcdef", "short"), "secret"),
        (CONFIG.replace("1@127.0.0.1:17000", "meta-1"), "meta-1"),
        ("\x00\x01\x02", "config.toml"),
        (CONFIG + "[storage_classes.GLACEIR]\ndisks = 'cold'\n", "those that exist are STANDARD,"),
        (CONFIG + "[storage_classes.GLACIER]\ndisks = 'icy'\n", "storage_classes.GLACIER.disks"),
        (CONFIG + "[storage_classes.GLACIER]\npolicy = 'raid5'\n", "storage_classes.GLACIER.policy"),
        (CONFIG + "[storage_classes.GLACIER]\ndisk = 'cold'\n", "disk"),
    ],
    ids=[
        "broken",
        "unknown section",
        "unknown key",
        "wrong type",
        "short secret",
        "wrong address",
        "binary",
        "unknown storage class",
        "unknown disk class",
        "wrong policy of a storage class",
        "unknown key of a storage class",
    ],
)
def test_config_that_is_wrong(tmp_path, role, text, expected):
    path = config(tmp_path, text.replace("{data}", str(tmp_path / "data")))
    assert expected in refused(role, "--config", path)


def test_config_that_is_not_there(tmp_path):
    assert "nothing.toml" in refused("meta", "--config", tmp_path / "nothing.toml")


def test_environment_overrides_are_checked_too(tmp_path):
    path = config(tmp_path, CONFIG.replace("{data}", str(tmp_path / "data")))
    assert "raid5" in refused("meta", "--config", path, SHARDLAKE_CLUSTER__POLICY="raid5")


def test_a_server_that_is_not_there():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    line = refused(
        "admin",
        "status",
        "--endpoint",
        f"http://127.0.0.1:{port}",
        SHARDLAKE_ROOT_ACCESS_KEY="SLTESTKEY",
        SHARDLAKE_ROOT_SECRET_KEY="testsecretkey",
    )
    assert str(port) in line
