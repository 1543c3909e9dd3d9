"""Runs command line clients and collects what the report names: each client, its version, its time."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent


def run(command: list, environment: dict[str, str], check: bool = True, seconds: float = 300, **options):
    """Runs a client; a failure shows all that it printed."""
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=seconds, **options
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def package_version(name: str) -> str:
    return version(name)
