"""pandas over s3fs (aiobotocore), in an environment of its own: see s3fs_client.py."""

import json
import os
from pathlib import Path

from support.clients import run
from support.corpus import FLIGHTS_DISTANCE_SUM, FLIGHTS_ROWS

PYTHON = os.environ.get("SHARDLAKE_S3FS_PYTHON")
VERSIONS = "import importlib.metadata as m; print(m.version('s3fs'), 'pandas', m.version('pandas'))"


def CLIENT():
    assert PYTHON, "SHARDLAKE_S3FS_PYTHON is not set: run the suite with `make test-clients`"
    return "s3fs with pandas", run([PYTHON, "-c", VERSIONS], {}).stdout.strip()


def test_pandas_over_s3fs(cli, bucket, corpus):
    script = Path(__file__).with_name("s3fs_client.py")
    answer = json.loads(run([PYTHON, "-B", script, bucket, corpus.folder], cli).stdout.splitlines()[-1])
    assert answer["rows"] == FLIGHTS_ROWS
    assert answer["distance"] == FLIGHTS_DISTANCE_SUM
    assert "pandas/flights.parquet" in answer["listed"] and "images/astronaut.png" in answer["listed"]
    assert len([key for key in answer["listed"] if key.startswith("csv/")]) == len(list(corpus["csv"].iterdir()))
    for name, sha256 in answer["hashes"].items():
        assert sha256 == corpus.hashes[f"csv/{name}"]
    assert answer["left"] == []
