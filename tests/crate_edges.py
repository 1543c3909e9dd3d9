#!/usr/bin/env python3
"""Checks the layers of the workspace: a crate uses its own layer and those below, never one above.

Reads `cargo metadata`. Tests of a crate may use what they like (dev-dependencies are not checked).
docs/architecture.md draws the layers; a new crate is given its layer here.
"""

import json
import subprocess
import sys

LAYERS = [
    {"types", "erasure", "placement", "inventory", "lifecycle", "iam", "pins", "waltail"},
    {"consensus", "durability", "proto", "platform", "telemetry"},
    {"metastore", "notification", "shardstore", "recordlog", "kms", "cluster"},
    {"objects", "streams", "repair"},
    {"gateway", "s3", "kinesis", "identity", "admin", "console"},
    {"shardlake-server", "bench"},
]
# Whole-system test crates: no crate may use them.
TESTERS = {"lossyfs", "sim", "harness", "jepsen", "shardlake-tests"}
# Libraries that one seam hides: only these crates may name them.
HIDDEN = {
    "tonic": {"proto"},
    "tonic-prost": {"proto"},
    "prost": {"proto"},
    "openraft": {"consensus"},
    "parquet": {"inventory"},
    "rocksdb": {"consensus", "shardstore"},
    "s3s": {"s3"},
    "reed-solomon-erasure": {"erasure"},
}


def layer_of(name: str) -> int | None:
    return next((i for i, names in enumerate(LAYERS) if name in names), None)


def faults(packages: list[dict]) -> list[str]:
    """One sentence for each edge that goes up, each unknown crate and each seam that leaks."""
    members = {package["name"] for package in packages}
    found = []
    for package in packages:
        name = package["name"]
        if name in TESTERS:
            continue
        layer = layer_of(name)
        if layer is None:
            found.append(f"{name} has no layer: add it to LAYERS in tests/crate_edges.py")
            continue
        for dependency in package["dependencies"]:
            used = dependency["name"]
            if dependency["kind"] == "dev":
                continue
            if used in HIDDEN and name not in HIDDEN[used]:
                found.append(f"{name} uses {used}, which only {', '.join(sorted(HIDDEN[used]))} may see")
            if used in members and (used in TESTERS or (layer_of(used) or 0) > layer):
                found.append(f"{name} (layer {layer}) uses {used} (layer {layer_of(used)}), which is above it")
    return found


def check_the_checker() -> None:
    """The rules catch what they are for, or this test is worth nothing."""

    def package(name: str, *uses: str, kind: str | None = None) -> dict:
        return {"name": name, "dependencies": [{"name": use, "kind": kind} for use in uses]}

    types = package("types")
    objects = package("objects", "types")
    assert faults([types, objects]) == []
    assert len(faults([package("types", "objects"), objects])) == 1, "an edge that goes up"
    assert faults([package("types", "objects", kind="dev"), objects]) == [], "tests may"
    assert len(faults([package("types", "rocksdb")])) == 1, "a seam that leaks"
    assert len(faults([package("surprise")])) == 1, "a crate without a layer"


def main() -> int:
    check_the_checker()
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    found = faults(metadata["packages"])
    for fault in found:
        print(f"crate edges: {fault}", file=sys.stderr)
    print(f"crate edges: {len(metadata['packages'])} crates, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
