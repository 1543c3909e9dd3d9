"""The AWS SDK for Rust: runs tests/sdk/aws_sdk_s3.rs against the same server."""

from support.rust import cargo_test, locked_version


def CLIENT():
    return "aws-sdk-s3 (Rust)", locked_version("aws-sdk-s3")


def test_real_files_there_and_back(endpoint):
    cargo_test("aws_sdk_s3", endpoint)
