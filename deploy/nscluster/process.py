"""One node's process: started in its namespace, found again by its pid file, stopped or killed."""

import os
import signal
import subprocess
import time
from pathlib import Path

from .layout import Node


def wait_until(what: str, seconds: float, condition):
    """Polls until the condition is true and returns its value; raises TimeoutError that names it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.05)
    return value


def _started_at(pid: int) -> str | None:
    """When the process began, in clock ticks; None if there is none or it is only a zombie."""
    try:
        os.waitpid(pid, os.WNOHANG)  # a child of ours that died is collected
    except ChildProcessError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


class Process:
    """A node's process; its state is the pid file, so that any program can control it."""

    def __init__(self, node: Node, folder: Path):
        self.node = node
        self.folder = folder
        self.log = folder / "log"
        self._pid_file = folder / "pid"

    def pid(self) -> int | None:
        """The pid, if the process runs. Its start time is compared, because pids are used again."""
        try:
            pid, started = self._pid_file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if _started_at(int(pid)) == started else None

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        """Starts it, unless it runs. Its output is appended to `log`."""
        if self.pid() is not None:
            return
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                ["ip", "netns", "exec", self.node.namespace, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        self._pid_file.write_text(f"{child.pid} {_started_at(child.pid)}")

    def signal(self, number: int) -> None:
        pid = self.pid()
        if pid is not None:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def wait_gone(self, seconds: float) -> None:
        wait_until(f"the end of {self.node.name}", seconds, lambda: self.pid() is None)

    def kill(self) -> None:
        """As a power cut would end it."""
        self.signal(signal.SIGKILL)
        self.wait_gone(10)

    def last_lines(self, count: int = 5) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except FileNotFoundError:
            return "(no log)"
