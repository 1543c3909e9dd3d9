"""duckdb with its httpfs extension (from the package index, so that nothing is downloaded at run time)."""

import duckdb
import pytest
from duckdb_extensions import import_extension
from support.clients import package_version
from support.corpus import FLIGHTS_DISTANCE_SUM, FLIGHTS_ROWS
from support.endpoint import REGION


def CLIENT():
    return "duckdb", f"{package_version('duckdb')}, httpfs {package_version('duckdb-extension-httpfs')}"


@pytest.fixture
def db(endpoint, tmp_path):
    with duckdb.connect(config={"extension_directory": str(tmp_path), "autoinstall_known_extensions": False}) as db:
        import_extension("httpfs", con=db)
        db.execute("LOAD httpfs")
        db.execute(
            f"""CREATE SECRET lake (TYPE s3, KEY_ID '{endpoint.access_key}', SECRET '{endpoint.secret_key}',
                REGION '{REGION}', ENDPOINT '{endpoint.host}', URL_STYLE 'path', USE_SSL false)"""
        )
        yield db


def test_copy_and_query(db, bucket, corpus, s3):
    source = f"read_csv('{corpus['csv/flights.csv']}', nullstr='NA')"
    db.execute(f"COPY (SELECT * FROM {source}) TO 's3://{bucket}/flights.parquet' (FORMAT parquet)")
    found = db.execute(f"SELECT count(*), sum(distance) FROM 's3://{bucket}/flights.parquet'").fetchone()
    assert found == (FLIGHTS_ROWS, FLIGHTS_DISTANCE_SUM)
    different = db.execute(
        f"SELECT count(*) FROM (SELECT * FROM 's3://{bucket}/flights.parquet' EXCEPT ALL SELECT * FROM {source})"
    ).fetchone()
    assert different == (0,)
    # duckdb has no delete for S3: another client removes the file, and duckdb says that it is gone.
    s3.delete_object(Bucket=bucket, Key="flights.parquet")
    with pytest.raises(duckdb.Error, match="404|No files found"):
        db.execute(f"SELECT count(*) FROM 's3://{bucket}/flights.parquet'").fetchone()


def test_partitions_and_globs(db, bucket, corpus):
    source = f"read_csv('{corpus['csv/flights.csv']}', nullstr='NA')"
    db.execute(f"COPY (FROM {source}) TO 's3://{bucket}/by' (FORMAT parquet, PARTITION_BY (carrier))")
    listed = db.execute(f"SELECT count(*) FROM glob('s3://{bucket}/by/*/*.parquet')").fetchone()
    assert listed[0] >= 16, "one folder for each airline"
    read = f"read_parquet('s3://{bucket}/by/*/*.parquet', hive_partitioning=true)"
    assert db.execute(f"SELECT count(*), sum(distance) FROM {read}").fetchone() == (FLIGHTS_ROWS, FLIGHTS_DISTANCE_SUM)
    assert db.execute(f"SELECT count(*) FROM {read} WHERE carrier = 'HA'").fetchone() == (342,)
