"""The Rust crate object_store, under polars, deltalake and DataFusion: runs tests/sdk/object_store.rs."""

from support.rust import cargo_test, locked_version


def CLIENT():
    return "object_store (Rust)", locked_version("object_store")


def test_real_files_and_conditional_puts(endpoint):
    cargo_test("object_store", endpoint)
