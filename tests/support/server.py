"""`shardlake dev` under test: started on free ports over a folder, stopped, killed, started again."""

import json
import os
import signal
import subprocess
from pathlib import Path

from .endpoint import Endpoint
from .wait import wait_until


def binary() -> Path:
    """The binary under test: SHARDLAKE_BIN, else what `make build` leaves."""
    cache = Path(os.environ.get("SHARDLAKE_CACHE", Path.home() / ".cache" / "shardlake"))
    target = Path(os.environ.get("CARGO_TARGET_DIR", cache / "target"))
    path = Path(os.environ.get("SHARDLAKE_BIN", target / "release" / "shardlake"))
    assert os.access(path, os.X_OK), f"{path} is missing: run `make build`, or set SHARDLAKE_BIN"
    return path


def clean_environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without any SHARDLAKE_ setting but a planted bug."""
    ours = {name for name in os.environ if name.startswith("SHARDLAKE_")} - {"SHARDLAKE_PLANT"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {**kept, "RUST_BACKTRACE": "1", **(extra or {})}


class DevServer:
    """One `shardlake dev` process and its folder."""

    def __init__(self, folder: Path, name: str = "dev"):
        self.data = folder / name
        self.stdout = folder / f"{name}.stdout"
        self.stderr = folder / f"{name}.stderr"
        self._ready_file = folder / f"{name}.ready"
        self.process: subprocess.Popen | None = None
        self.endpoint: Endpoint | None = None
        self.admin = ""

    def start(self, *arguments: str, seconds: float = 60, **environment: str) -> "DevServer":
        """Starts it on free ports and waits until it serves."""
        assert self.process is None or self.process.poll() is not None, "it runs"
        self._ready_file.unlink(missing_ok=True)
        command = [binary(), "dev", "--data", self.data, "--listen", "127.0.0.1:0"]
        command += ["--admin-listen", "127.0.0.1:0", "--ready-file", self._ready_file, *arguments]
        with self.stdout.open("ab") as stdout, self.stderr.open("ab") as stderr:
            self.process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=clean_environment(environment),
            )
        ready = wait_until("a ready server", seconds, self._read_ready)
        self.admin = ready["admin"]
        self.endpoint = Endpoint(ready["s3"], ready["access_key"], ready["secret_key"], self.admin)
        return self

    def _read_ready(self) -> dict | None:
        if self.process.poll() is not None:
            raise AssertionError(f"shardlake dev ended with {self.process.returncode}: {self.errors()[-2000:]}")
        try:
            text = self._ready_file.read_text()
        except FileNotFoundError:
            return None
        return json.loads(text) if text.endswith("\n") else None

    def stop(self, seconds: float = 60) -> int:
        """SIGTERM; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait(30)

    def close(self) -> None:
        """Ends it, however it stands."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def output(self) -> str:
        return self.stdout.read_text(errors="replace")

    def errors(self) -> str:
        return self.stderr.read_text(errors="replace")

    def assert_no_panic(self) -> None:
        assert "panicked at" not in self.errors(), self.errors()[-4000:]
