"""One process: started in a namespace, found again by its pid file, stopped or killed."""

import os
import signal
import subprocess
import time
from pathlib import Path


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
    """A process of the cluster; its state is the pid file, so that any program can control it.

    `kind` tells the helpers of a node from the node itself: their files are `KIND.pid` and `KIND.log`.
    """

    def __init__(self, name: str, folder: Path, namespace: str | None, kind: str = ""):
        self.name = f"{name}'s {kind}" if kind else name
        self.namespace = namespace
        self.folder = folder
        self.log = folder / (f"{kind}.log" if kind else "log")
        self._pid_file = folder / (f"{kind}.pid" if kind else "pid")

    def pid(self) -> int | None:
        """The pid, if the process runs. Its start time is compared, because pids are used again."""
        try:
            pid, started = self._pid_file.read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if _started_at(int(pid)) == started else None

    def start(self, command: list[str], environment: dict[str, str], group: int | None = None) -> None:
        """Starts it, unless it runs. Its output is appended to `log`."""
        if self.pid() is not None:
            return
        inside = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        with self.log.open("ab") as log:
            child = subprocess.Popen(
                [*inside, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                group=group,
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
        wait_until(f"the end of {self.name}", seconds, lambda: self.pid() is None)

    def kill(self) -> None:
        """kill -9, which also ends what is stopped."""
        self.signal(signal.SIGKILL)
        self.wait_gone(10)

    def last_lines(self, count: int = 5) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except FileNotFoundError:
            return "(no log)"
