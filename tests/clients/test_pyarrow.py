"""pyarrow: the AWS C++ SDK under a file system, and partitioned Parquet datasets over it."""

import hashlib

import pyarrow
import pyarrow.compute
import pyarrow.dataset
import pyarrow.fs
import pyarrow.parquet
import pytest
from support.clients import package_version
from support.corpus import FLIGHTS_DISTANCE_SUM, FLIGHTS_ROWS
from support.endpoint import REGION


def CLIENT():
    return "pyarrow", package_version("pyarrow")


@pytest.fixture(scope="module")
def fs(endpoint):
    return pyarrow.fs.S3FileSystem(
        access_key=endpoint.access_key,
        secret_key=endpoint.secret_key,
        endpoint_override=endpoint.host,
        scheme="http",
        region=REGION,
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )


def test_partitioned_dataset(fs, bucket, corpus):
    pyarrow.dataset.write_dataset(
        corpus.flights,
        f"{bucket}/flights",
        filesystem=fs,
        format="parquet",
        partitioning=["origin"],
        partitioning_flavor="hive",
    )
    flights = pyarrow.dataset.dataset(f"{bucket}/flights", filesystem=fs, partitioning="hive")
    assert sorted(path.split("/")[2] for path in flights.files) == ["origin=EWR", "origin=JFK", "origin=LGA"]
    assert flights.count_rows() == FLIGHTS_ROWS
    table = flights.to_table(columns=["distance"])
    assert pyarrow.compute.sum(table["distance"]).as_py() == FLIGHTS_DISTANCE_SUM
    some = flights.to_table(filter=(pyarrow.dataset.field("origin") == "JFK") & (pyarrow.dataset.field("month") == 1))
    assert some.num_rows == 9161


def test_random_access(fs, bucket, corpus):
    path = f"{bucket}/flights.parquet"
    with fs.open_output_stream(path) as out:
        out.write(corpus["parquet/flights.parquet"].read_bytes())
    with fs.open_input_file(path) as file:
        one_group = pyarrow.parquet.ParquetFile(file).read_row_group(0, columns=["carrier"])
    assert one_group.num_rows > 0
    with fs.open_input_stream(path) as file:
        assert hashlib.sha256(file.read()).hexdigest() == corpus.hashes["parquet/flights.parquet"]


def test_file_system_verbs(fs, bucket, corpus):
    fs.create_dir(f"{bucket}/dir/sub")
    with fs.open_output_stream(f"{bucket}/dir/sub/a.csv") as out:
        out.write(corpus["csv/airports.csv"].read_bytes())
    fs.copy_file(f"{bucket}/dir/sub/a.csv", f"{bucket}/dir/b.csv")
    fs.move(f"{bucket}/dir/b.csv", f"{bucket}/dir/c.csv")
    infos = fs.get_file_info(pyarrow.fs.FileSelector(f"{bucket}/dir", recursive=True))
    found = {info.path.removeprefix(f"{bucket}/"): info.type for info in infos}
    assert found["dir/sub"] == pyarrow.fs.FileType.Directory
    assert {path for path, kind in found.items() if kind == pyarrow.fs.FileType.File} == {"dir/sub/a.csv", "dir/c.csv"}
    fs.delete_file(f"{bucket}/dir/c.csv")
    fs.delete_dir(f"{bucket}/dir")
    assert fs.get_file_info(f"{bucket}/dir/sub/a.csv").type == pyarrow.fs.FileType.NotFound


def test_buckets(fs, bucket):
    other = f"{bucket}-2"
    fs.create_dir(other)
    assert fs.get_file_info(other).type == pyarrow.fs.FileType.Directory
    fs.delete_dir(other)
    assert fs.get_file_info(other).type == pyarrow.fs.FileType.NotFound
