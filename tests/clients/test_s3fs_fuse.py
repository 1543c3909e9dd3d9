"""s3fs-fuse: a bucket as a mounted folder, used through the kernel as any program would use it."""

import os
import shutil
import subprocess

import pytest
from support.clients import run
from support.corpus import sha256, tree
from support.wait import wait_until

S3FS = shutil.which("s3fs")
FUSERMOUNT = shutil.which("fusermount") or shutil.which("fusermount3")


def CLIENT():
    return "s3fs-fuse", run([S3FS, "--version"], {}).stdout.split("V", 1)[1].split()[0] if S3FS else "not installed"


def no_fuse() -> str | None:
    """Why nothing can be mounted here."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse cannot be opened: {error.strerror}"
    if os.geteuid() != 0 and not FUSERMOUNT:
        return "neither root nor fusermount"
    return None


class Mount:
    """A mounted bucket. s3fs runs in the foreground, so that it is our child."""

    def __init__(self, endpoint, bucket: str, folder):
        self.path = folder / "mnt"
        self.path.mkdir(exist_ok=True)
        self._keys = folder / "passwd-s3fs"
        self._keys.write_text(f"{endpoint.access_key}:{endpoint.secret_key}\n")
        self._keys.chmod(0o600)
        self._log = folder / "s3fs.log"
        self._options = f"url={endpoint.url},use_path_request_style,passwd_file={self._keys},retries=1"
        self._bucket = bucket
        self.process = None

    def __enter__(self):
        command = [S3FS, self._bucket, self.path, "-f", "-o", self._options]
        with self._log.open("ab") as log:
            # HOME and AWS_* of whoever runs the tests must not matter.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}
            )
        wait_until("a mounted bucket", 30, self._mounted)
        return self.path

    def _mounted(self) -> bool:
        if self.process.poll() is None:
            return os.path.ismount(self.path)
        text = self._log.read_text(errors="replace")
        if "Operation not permitted" in text:
            pytest.skip(f"this machine does not allow to mount: {text[-300:]}")
        raise AssertionError(f"s3fs ended with {self.process.returncode}: {text[-3000:]}")

    def __exit__(self, *_):
        """Unmounts: s3fs writes what it still holds, and ends."""
        if self.process.poll() is None:
            command = ["umount", self.path] if os.geteuid() == 0 else [FUSERMOUNT, "-u", self.path]
            try:
                run(command, {"PATH": os.environ["PATH"]})
                assert self.process.wait(60) == 0, self._log.read_text(errors="replace")[-3000:]
            finally:
                if self.process.poll() is None:
                    self.process.kill()
                    self.process.wait(30)


@pytest.fixture
def mount(endpoint, bucket, tmp_path):
    """Mounts the bucket anew at each call: nothing that a client caches survives that."""
    reason = no_fuse()
    if reason:
        pytest.skip(f"no FUSE on this machine: {reason}")
    assert S3FS, "s3fs is missing: run `make test-clients`, which installs it"
    return lambda: Mount(endpoint, bucket, tmp_path)


def test_files_there_and_back(mount, s3, bucket, corpus, tmp_path):
    with mount() as folder:
        shutil.copytree(corpus.folder, folder / "corpus")
        assert sorted(os.listdir(folder / "corpus")) == sorted(os.listdir(corpus.folder))
        assert tree(folder / "corpus") == corpus.hashes
    with mount() as folder:
        assert tree(folder / "corpus") == corpus.hashes
        one = folder / "corpus/csv/weather.csv"
        assert one.stat().st_size == corpus["csv/weather.csv"].stat().st_size
        assert int(one.stat().st_mtime) == int(corpus["csv/weather.csv"].stat().st_mtime), "copytree keeps the time"
        with one.open("rb") as file:
            file.seek(1_000_000)
            assert file.read(5000) == corpus["csv/weather.csv"].read_bytes()[1_000_000:1_005_000]
    # Another client sees the same bytes; a large file went up in parts.
    for name in ("csv/flights.csv", "images/astronaut.png"):
        s3.download_file(bucket, f"corpus/{name}", str(tmp_path / "back"))
        assert sha256(tmp_path / "back") == corpus.hashes[name]
    assert "-" in s3.head_object(Bucket=bucket, Key="corpus/csv/flights.csv")["ETag"]


def test_rename_change_and_remove(mount, s3, bucket, corpus):
    with mount() as folder:
        shutil.copytree(corpus["csv"], folder / "csv")
        os.rename(folder / "csv/flights.csv", folder / "flights 2013.csv")
        os.rename(folder / "csv", folder / "tables")
        with (folder / "tables/airports.csv").open("ab") as file:
            file.write(b"one more line\n")
        # Not os.truncate: s3fs 1.90 stores zeros for a path that it has not read yet.
        with (folder / "tables/weather.csv").open("r+b") as file:
            file.read()
            file.truncate(1000)
        os.symlink("airports.csv", folder / "tables/link")
        os.chmod(folder / "tables/airports.csv", 0o640)
    expected = {name.removeprefix("csv/"): value for name, value in corpus.hashes.items() if name.startswith("csv/")}
    del expected["flights.csv"]
    with mount() as folder:
        assert sha256(folder / "flights 2013.csv") == corpus.hashes["csv/flights.csv"]
        assert not (folder / "csv").exists()
        appended = corpus["csv/airports.csv"].read_bytes() + b"one more line\n"
        assert (folder / "tables/airports.csv").read_bytes() == appended
        assert (folder / "tables/link").read_bytes() == appended
        assert (folder / "tables/airports.csv").stat().st_mode & 0o777 == 0o640
        assert (folder / "tables/weather.csv").read_bytes() == corpus["csv/weather.csv"].read_bytes()[:1000]
        found = tree(folder / "tables")
        for name in expected.keys() - {"airports.csv", "weather.csv"}:
            assert found[name] == expected[name]
        shutil.rmtree(folder / "tables")
        os.unlink(folder / "flights 2013.csv")
        assert os.listdir(folder) == []
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_what_another_client_wrote(mount, s3, bucket, corpus):
    """Keys without folder objects, as every other client writes them, are folders here."""
    for name in ("csv/airports.csv", "images/china.jpg"):
        s3.upload_file(str(corpus[name]), bucket, f"deep/er/{name}")
    with mount() as folder:
        assert sorted(os.listdir(folder / "deep/er")) == ["csv", "images"]
        assert sha256(folder / "deep/er/images/china.jpg") == corpus.hashes["images/china.jpg"]
        assert not (folder / "deep/none").exists()
