"""Clocks that jump: every node's wall clock is read through `clock.c`, which adds what a file says.

The monotonic clock stays true, as it does on a machine whose wall clock is set.
"""

import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().with_name("clock.c")

LIBRARY = "clock.so"


def _file(folder: Path) -> Path:
    return folder / "clock"


def build(folder: Path) -> None:
    """Makes the library in the cluster's folder, anew."""
    library = folder / LIBRARY
    scratch = library.with_suffix(".new")
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(scratch), str(SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"cc could not make {library}: {done.stderr.strip()}")
    # Nodes that run have the old one mapped.
    scratch.rename(library)


def environment(library: Path, folder: Path) -> dict[str, str]:
    """What a node is started with, whose files lie in `folder`."""
    if not _file(folder).exists():
        set_offset(folder, 0)
    return {"LD_PRELOAD": str(library), "SHARDLAKE_CLOCK_FILE": str(_file(folder))}


def set_offset(folder: Path, seconds: float) -> None:
    """From now on the node's clock is so much ahead (or, below zero, behind)."""
    # In place and at once: the node has the file mapped.
    mode = "r+b" if _file(folder).exists() else "wb"
    with _file(folder).open(mode, buffering=0) as file:
        file.write(struct.pack("=q", round(seconds * 1e9)))
