"""Metadata nodes come and go, and every node is restarted in turn, under a workload that checks every answer.

Asserted: no request fails (clients retry what is answered 503), nothing acknowledged is lost or wrong.
Printed: the pauses. One cluster and one workload last over all tests of this file, which run in the
order written.
"""

import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from nscluster import Cluster
from nscluster.layout import META, NODES, SPARE_META
from support.endpoint import Endpoint
from support.server import binary
from support.wait import wait_until
from support.workload import Workload

BUCKET = "members"
# How long the workload runs between two changes, in seconds.
CALM_SECONDS = float(os.environ.get("SHARDLAKE_FAULT_SECONDS", "12")) / 4
pauses: list[str] = []


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="shardlake-members-"))
    cluster = Cluster(folder, binary())
    try:
        cluster.up()
        wait_whole(cluster)
        yield cluster
        for process in cluster.processes.values():
            if process.log.exists():
                assert "panicked at" not in process.log.read_text(errors="replace"), f"{process.name} panicked"
    except BaseException:
        print(f"the logs are in {folder}")
        cluster.down()
        raise
    cluster.down(delete=True)


def client(cluster, attempts: int):
    endpoint = Endpoint(cluster.s3, cluster.keys["access_key"], cluster.keys["secret_key"])
    retries = {"total_max_attempts": attempts, "mode": "standard"}
    return endpoint.boto3(retries=retries, connect_timeout=2, read_timeout=30)


@pytest.fixture(scope="module")
def workload(cluster):
    client(cluster, 10).create_bucket(Bucket=BUCKET)
    workload = Workload(lambda: client(cluster, 6), BUCKET).start()
    yield workload
    workload.stop()


@pytest.fixture
def phase(request, workload):
    """Counts from the beginning of a test; afterwards says what happened: nothing failed."""
    workload.new_window()
    yield
    line = f"{request.node.name.removeprefix('test_')}: {workload.window()}"
    pauses.append(line)
    print(line)
    assert workload.wrong == []
    assert workload.errors == {}, line
    assert workload.reads.count > 0 and workload.writes.count > 0


def calm() -> None:
    time.sleep(CALM_SECONDS)  # the workload runs; there is nothing to wait for but time


def is_whole(status: dict) -> bool:
    groups = status.get("groups", {})
    return 0 < groups.get("total", 0) == groups["healthy"] and all(node["up"] for node in status["nodes"])


def wait_whole(cluster) -> None:
    cluster.wait_healthy(90)
    wait_until("a cluster without a fault", 90, lambda: is_whole(cluster.admin_status()))


def admin(cluster, *arguments: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHARDLAKE_")}
    environment["SHARDLAKE_ROOT_ACCESS_KEY"] = cluster.keys["access_key"]
    environment["SHARDLAKE_ROOT_SECRET_KEY"] = cluster.keys["secret_key"]
    command = [cluster.binary, "admin", *arguments, "--endpoint", cluster.admin]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)


def done(cluster, *arguments: str) -> str:
    ended = admin(cluster, *arguments)
    assert ended.returncode == 0, f"{arguments}: {ended.stderr}"
    return ended.stdout


def meta_nodes(cluster) -> dict[int, dict]:
    return {node["node"]: node for node in json.loads(done(cluster, "meta", "list", "--json"))["nodes"]}


def timed(what: str, cluster, *arguments: str) -> None:
    began = time.monotonic()
    done(cluster, *arguments)
    pauses.append(f"  {what} took {time.monotonic() - began:.1f} s")


def add(cluster, node) -> None:
    cluster.start(node.name)
    wait_until(f"{node.name} to register", 60, lambda: node.index in meta_nodes(cluster))
    timed(f"adding {node.name}", cluster, "meta", "add", str(node.index), f"{node.address}:7000")
    state = meta_nodes(cluster)[node.index]
    assert state["state"] == "voter" and state["votes"] == "5 of 5", state


def remove(cluster, node) -> None:
    timed(f"removing {node.name}", cluster, "meta", "remove", str(node.index))
    assert node.index not in meta_nodes(cluster)
    cluster.processes[node.name].wait_gone(30)
    assert "was removed from the cluster" in cluster.processes[node.name].last_lines(5)


def test_three_metadata_nodes_become_five(cluster, workload, phase):
    for node in SPARE_META[:2]:
        add(cluster, node)
        calm()


def test_the_first_three_go(cluster, workload, phase):
    """With them goes every address that gateways and data nodes were configured with."""
    for node in META[:2]:
        remove(cluster, node)
        calm()
    # Two would survive no failure.
    add(cluster, SPARE_META[2])
    remove(cluster, META[2])
    calm()
    assert set(meta_nodes(cluster)) == {node.index for node in SPARE_META}
    wait_whole(cluster)


def test_two_would_not_be_enough(cluster, workload, phase):
    refused = admin(cluster, "meta", "remove", str(SPARE_META[0].index))
    assert refused.returncode != 0 and "--force" in refused.stderr, refused.stderr
    assert len(meta_nodes(cluster)) == 3


def test_a_removed_node_says_so_when_it_is_started(cluster, workload, phase):
    cluster.start(META[0].name)
    cluster.processes[META[0].name].wait_gone(30)
    said = cluster.processes[META[0].name].last_lines(5)
    assert "was removed from the cluster" in said and "new id" in said, said


def test_rolling_restart(cluster, workload, phase):
    """SIGTERM and start, one node after the other, as in an upgrade."""
    # Who restarts needs the address of one that is there.
    cluster.meta = SPARE_META
    alive = [node for node in NODES if node not in META] + SPARE_META
    for node in alive:
        cluster.stop(node.name)
        cluster.start(node.name)
        wait_whole(cluster)
    took = []
    for node in SPARE_META:
        log = cluster.processes[node.name].log.read_text(errors="replace")
        took += [int(ms) for ms in re.findall(r'leadership handed over.*?"took_ms":(\d+)', log)]
    pauses.append(f"  {len(took)} groups handed over, the slowest in {max(took, default=0)} ms")
    assert took, "nothing was handed over"


def test_every_acknowledged_object_reads_back(cluster, workload):
    workload.stop()
    checked, wrong = workload.check_everything(client(cluster, 10))
    pauses.append(f"{checked} keys checked at the end, {len(wrong)} lost or wrong")
    assert wrong == [] and workload.wrong == []
