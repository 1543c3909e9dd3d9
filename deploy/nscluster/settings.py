"""What the nodes are told: the cluster's secrets, made once, and each node's configuration file."""

import json
import os
import secrets
from pathlib import Path

from .layout import ADMIN_PORT, NODE_PORT, S3_PORT, Node


def write_private(path: Path, text: str) -> None:
    """Replaces a file at once, readable by its owner only."""
    scratch = path.with_suffix(".new")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    scratch.rename(path)


def load_secrets(folder: Path) -> dict[str, str]:
    """The cluster secret and the root keys, from `secrets.json`, else random ones written there."""
    path = folder / "secrets.json"
    if path.exists():
        return json.loads(path.read_text())
    made = {
        "cluster_secret": "s" + secrets.token_hex(32),
        "access_key": "SL" + secrets.token_hex(9).upper(),
        "secret_key": "k" + secrets.token_urlsafe(30),
    }
    write_private(path, json.dumps(made, indent=1))
    return made


def _toml(sections: dict[str, dict[str, object]]) -> str:
    """TOML of plain values: JSON's strings, numbers, booleans and arrays are TOML as well."""
    lines = []
    for section, entries in sections.items():
        lines.append(f"[{section}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in entries.items()]
        lines.append("")
    return "\n".join(lines)


def node_config(
    node: Node, folder: Path, keys: dict[str, str], extra: dict[str, dict[str, object]], meta: list[Node]
) -> str:
    """The configuration file of one node, whose own files lie in `folder`; `meta` are the metadata nodes."""
    # A metadata node that joins later names itself too.
    known = [*meta, node] if node.role == "meta" and node not in meta else meta
    sections: dict[str, dict[str, object]] = {
        "cluster": {
            "name": "lake",
            "secret": keys["cluster_secret"],
            "policy": "rs-4-2",
            "partitions": 4,
            "initial_disks": 6,
            "domain": "node",
            "meta": [f"{it.index}@{it.address}:{NODE_PORT}" for it in known],
        },
        "node": {
            "data": str(folder / "data"),
            "listen": f"{node.address}:{NODE_PORT}",
            "advertise": f"{node.address}:{NODE_PORT}",
        },
        "gateway": {"listen": f"0.0.0.0:{S3_PORT}"},
        "admin": {"listen": f"0.0.0.0:{ADMIN_PORT}"},
        "root": {"access_key": keys["access_key"], "secret_key": keys["secret_key"]},
        "log": {"json": True, "filter": "info"},
    }
    if node.role == "meta":
        sections["node"]["id"] = node.index
    if node.role == "data":
        sections["node"]["disks"] = [str(folder / "data" / "disk-0")]
    for section, entries in extra.items():
        sections.setdefault(section, {}).update(entries)
    return _toml(sections)
