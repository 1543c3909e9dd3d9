"""Runs in the environment of s3fs (it pins another botocore): pandas reads and writes over it.

s3fs_client.py BUCKET CORPUS-FOLDER        prints one JSON line
"""

import hashlib
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

import pandas
import s3fs


def main(bucket: str, corpus: Path) -> dict:
    options = {
        "key": os.environ["AWS_ACCESS_KEY_ID"],
        "secret": os.environ["AWS_SECRET_ACCESS_KEY"],
        "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "client_kwargs": {"region_name": os.environ["AWS_REGION"]},
    }
    fs = s3fs.S3FileSystem(**options)
    flights = pandas.read_csv(corpus / "csv/flights.csv")
    flights.to_parquet(f"s3://{bucket}/pandas/flights.parquet", storage_options=options)
    flights.head(10_000).to_csv(f"s3://{bucket}/pandas/head.csv", index=False, storage_options=options)
    back = pandas.read_parquet(f"s3://{bucket}/pandas/flights.parquet", storage_options=options)
    pandas.testing.assert_frame_equal(flights, back)
    head = pandas.read_csv(f"s3://{bucket}/pandas/head.csv", storage_options=options)
    assert len(head) == 10_000

    image = corpus / "images/astronaut.png"
    fs.put(str(image), f"{bucket}/images/astronaut.png")
    fs.put(str(corpus / "csv"), f"{bucket}/csv", recursive=True)
    with fs.open(f"{bucket}/images/astronaut.png", "rb") as file:
        file.seek(100_000)
        assert file.read(5000) == image.read_bytes()[100_000:105_000]
    listed = sorted(path.removeprefix(f"{bucket}/") for path in fs.find(bucket))
    hashes = {
        name: hashlib.sha256(fs.cat_file(f"{bucket}/csv/{name}")).hexdigest()
        for name in ("airports.csv", "flights.csv")
    }
    fs.mv(f"{bucket}/images/astronaut.png", f"{bucket}/moved.png")
    assert fs.exists(f"{bucket}/moved.png") and not fs.exists(f"{bucket}/images/astronaut.png")
    fs.rm(fs.find(bucket))
    fs.invalidate_cache()
    return {
        "version": f"{version('s3fs')}, pandas {version('pandas')}",
        "rows": len(back),
        "distance": int(back["distance"].sum()),
        "listed": listed,
        "hashes": hashes,
        "left": fs.find(bucket),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
