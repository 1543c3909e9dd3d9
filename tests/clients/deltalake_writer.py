"""One of several processes that append to a table at once: see test_deltalake.py.

deltalake_writer.py TABLE NAME COMMITS     waits for a line on stdin, so that all begin together
"""

import json
import os
import sys

import pyarrow
from deltalake import CommitProperties, write_deltalake

ROWS = 100


def main(uri: str, name: str, commits: int) -> None:
    options = json.loads(os.environ["TABLE_OPTIONS"])
    print("ready", flush=True)
    sys.stdin.readline()
    for commit in range(commits):
        rows = pyarrow.table({"writer": [name] * ROWS, "commit": [commit] * ROWS, "row": list(range(ROWS))})
        properties = CommitProperties(max_commit_retries=100, custom_metadata={"writer": name, "commit": str(commit)})
        write_deltalake(uri, rows, mode="append", storage_options=options, commit_properties=properties)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
