"""The AWS SDK for Rust: runs tests/sdk as a cargo test against the same server."""

import os
import re
from pathlib import Path

from support.clients import run

ROOT = Path(__file__).resolve().parents[2]


def CLIENT():
    lock = (ROOT / "Cargo.lock").read_text()
    version = re.search(r'name = "aws-sdk-s3"\nversion = "([^"]+)"', lock)
    return "aws-sdk-s3 (Rust)", version[1]


def test_real_files_there_and_back(endpoint):
    server = {
        "SHARDLAKE_ENDPOINT": endpoint.url,
        "SHARDLAKE_ACCESS_KEY": endpoint.access_key,
        "SHARDLAKE_SECRET_KEY": endpoint.secret_key,
    }
    command = ["cargo", "test", "--release", "--ignore-rust-version", "--locked", "--workspace", "--test", "aws_sdk_s3"]
    done = run(command, {**os.environ, **server}, cwd=ROOT, seconds=1800)
    assert re.search(r"test result: ok\. [1-9]\d* passed", done.stdout), done.stdout
