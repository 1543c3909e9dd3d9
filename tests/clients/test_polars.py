"""polars: lazy scans and sinks over Rust's object_store."""

import polars
import polars.testing
import pytest
from support.clients import package_version
from support.corpus import FLIGHTS_DISTANCE_SUM, FLIGHTS_ROWS
from support.endpoint import REGION


def CLIENT():
    return "polars", package_version("polars")


@pytest.fixture
def options(endpoint):
    return {
        "aws_access_key_id": endpoint.access_key,
        "aws_secret_access_key": endpoint.secret_key,
        "aws_region": REGION,
        "aws_endpoint_url": endpoint.url,
        "aws_allow_http": "true",
    }


def test_write_scan_compare(options, bucket, corpus, s3):
    flights = polars.from_arrow(corpus.flights)
    flights.write_parquet(f"s3://{bucket}/one.parquet", storage_options=options)
    polars.testing.assert_frame_equal(
        polars.read_parquet(f"s3://{bucket}/one.parquet", storage_options=options), flights
    )
    # Several files, a glob, and only the columns and rows that are asked for.
    for month in range(1, 13):
        part = flights.filter(polars.col("month") == month)
        part.write_parquet(f"s3://{bucket}/by/month={month}/part.parquet", storage_options=options)
    scan = polars.scan_parquet(f"s3://{bucket}/by/**/*.parquet", storage_options=options)
    assert scan.select(polars.len()).collect().item() == FLIGHTS_ROWS
    assert scan.select(polars.col("distance").sum()).collect().item() == FLIGHTS_DISTANCE_SUM
    late = scan.filter((polars.col("month") == 7) & (polars.col("dep_delay") > 60)).collect()
    assert late.height == flights.filter((polars.col("month") == 7) & (polars.col("dep_delay") > 60)).height > 0
    # polars has no delete: another client removes a file, and polars no longer sees it.
    s3.delete_object(Bucket=bucket, Key="by/month=7/part.parquet")
    scan = polars.scan_parquet(f"s3://{bucket}/by/**/*.parquet", storage_options=options)
    assert scan.filter(polars.col("month") == 7).collect().height == 0


def test_stream_csv_to_parquet(options, bucket, corpus, s3):
    s3.upload_file(str(corpus["csv/flights.csv"]), bucket, "flights.csv")
    lazy = polars.scan_csv(f"s3://{bucket}/flights.csv", storage_options=options, null_values=["NA"])
    lazy.sink_parquet(f"s3://{bucket}/sunk.parquet", storage_options=options)
    sunk = polars.scan_parquet(f"s3://{bucket}/sunk.parquet", storage_options=options)
    assert sunk.select(polars.col("distance").sum()).collect().item() == FLIGHTS_DISTANCE_SUM
