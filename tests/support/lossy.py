"""`lossyfs` under test: a mounted folder that forgets on command what was not fsynced."""

import os
import subprocess
from pathlib import Path

from nscluster.jsonlines import command

from .server import binary
from .wait import wait_until


class LossyFolder:
    """One mount and its control socket. Needs root and /dev/fuse."""

    def __init__(self, folder: Path, mib: int = 6144):
        self.path = folder / "lossy"
        self.path.mkdir()
        self._socket = folder / "lossy.sock"
        program = binary().with_name("lossyfs")
        assert os.access(program, os.X_OK), f"{program} is missing: run `make test-power`"
        mount = [program, self.path, "--control", self._socket, "--mib", str(mib)]
        self._process = subprocess.Popen(list(map(str, mount)), stdin=subprocess.DEVNULL)
        wait_until("the mount", 30, self._mounted)

    def _mounted(self) -> bool:
        assert self._process.poll() is None, "lossyfs ended: see its message above"
        return self._socket.exists()

    def command(self, what: str, **arguments) -> dict:
        return command(self._socket, do=what, **arguments)

    def cut(self, seed: int, torn: bool) -> dict:
        return self.command("cut", seed=seed, torn=torn)

    def faults(self, **faults) -> None:
        self.command("faults", **faults)

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", self.path], check=False)
        self._process.terminate()
        self._process.wait(30)
