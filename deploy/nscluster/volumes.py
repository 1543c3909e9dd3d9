"""Disks that can lose what was not fsynced, fill up, fail and rot: `lossyfs` under the data of a node."""

import subprocess
from pathlib import Path

from .jsonlines import command
from .layout import DATA, META, SPARE_DATA, SPARE_META
from .process import Process, wait_until

# Who keeps anything, or may once it joins.
KEEPERS = [*META, *DATA, *SPARE_META, *SPARE_DATA]


class Volumes:
    """One mount for each metadata and data node, at its `data`. They live in memory: `down` loses them."""

    def __init__(self, folder: Path, program: Path, mib: int):
        self.folder = folder
        self.program = program
        self.mib = mib
        self.processes = {node.name: Process(node.name, folder / node.name, None, "lossyfs") for node in KEEPERS}

    def _socket(self, name: str) -> Path:
        return self.folder / name / "lossyfs.sock"

    def up(self) -> None:
        """Mounts what is not mounted."""
        for name, process in self.processes.items():
            if process.pid() is not None:
                continue
            at = process.folder / "data"
            at.mkdir(parents=True, exist_ok=True)
            subprocess.run(["umount", "--lazy", str(at)], check=False, capture_output=True)
            self._socket(name).unlink(missing_ok=True)
            mount = [str(self.program), str(at), "--control", str(self._socket(name)), "--mib", str(self.mib)]
            process.start(mount, {})
        for name in self.processes:
            wait_until(f"{name}'s lossyfs", 30, self._socket(name).exists)

    def down(self) -> None:
        """Unmounts all of them."""
        for process in self.processes.values():
            subprocess.run(["umount", "--lazy", str(process.folder / "data")], check=False, capture_output=True)
            process.kill()

    def command(self, name: str, do: str, **words: object) -> dict:
        """A command of crates/lossyfs/src/control.rs."""
        return command(self._socket(name), do=do, **words)
