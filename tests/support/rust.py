"""Clients in Rust: tests/sdk holds them as cargo tests, which run against the same server."""

import os
import re
from pathlib import Path

from .clients import run

ROOT = Path(__file__).resolve().parents[2]


def locked_version(crate: str) -> str:
    """The version in Cargo.lock."""
    found = re.search(rf'name = "{crate}"\nversion = "([^"]+)"', (ROOT / "Cargo.lock").read_text())
    return found[1]


def cargo_test(name: str, endpoint) -> None:
    """Runs tests/sdk/NAME.rs; it must pass, and have run something."""
    server = {
        "SHARDLAKE_ENDPOINT": endpoint.url,
        "SHARDLAKE_ACCESS_KEY": endpoint.access_key,
        "SHARDLAKE_SECRET_KEY": endpoint.secret_key,
    }
    command = ["cargo", "test", "--release", "--ignore-rust-version", "--locked", "--workspace", "--test", name]
    done = run(command, {**os.environ, **server}, cwd=ROOT, seconds=1800)
    assert re.search(r"test result: ok\. [1-9]\d* passed", done.stdout), done.stdout
