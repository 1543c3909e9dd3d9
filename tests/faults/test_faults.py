"""Nodes of a whole cluster are killed and restarted under a mixed workload.

Asserted: no acknowledged object is ever lost or wrong, reads go on throughout, and when two of six
data nodes are down a large write is refused with 503 and a reason. Printed: the pauses.
One cluster and one workload last over all tests of this file, which run in the order written.
"""

import os
import tempfile
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from nscluster import Cluster
from nscluster.layout import DATA, GATEWAYS, NODES
from support.endpoint import Endpoint
from support.server import binary
from support.wait import wait_until
from support.workload import MIB, Workload

BUCKET = "faults"
# How long the workload runs in each situation, in seconds.
PHASE_SECONDS = float(os.environ.get("SHARDLAKE_FAULT_SECONDS", "12"))
# Reads may pause while connections to a dead node time out or a metadata leader is elected.
READ_PAUSE_MAX_S = 15
NAMES = [node.name for node in NODES]
pauses: list[str] = []


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="shardlake-faults-"))
    # Deleted bytes are collected soon, so that the collector works among the faults too.
    cluster = Cluster(folder, binary(), extra={"workers": {"gc_grace_s": 60}})
    try:
        cluster.up()
        wait_whole(cluster)
        yield cluster
        for process in cluster.processes.values():
            log = process.log.read_text(errors="replace") if process.log.exists() else ""
            assert "panicked at" not in log, f"{process.name} panicked"
    except BaseException:
        print(f"the logs are in {folder}")
        cluster.down()
        raise
    cluster.down(delete=True)


def client(cluster, **config):
    endpoint = Endpoint(cluster.s3, cluster.keys["access_key"], cluster.keys["secret_key"])
    defaults = {"retries": {"total_max_attempts": 1}, "connect_timeout": 2, "read_timeout": 10}
    return endpoint.boto3(**{**defaults, **config})


def patient(cluster):
    return client(cluster, retries={"total_max_attempts": 10, "mode": "standard"}, read_timeout=30)


@pytest.fixture(scope="module")
def workload(cluster):
    patient(cluster).create_bucket(Bucket=BUCKET)
    workload = Workload(lambda: client(cluster), BUCKET).start()
    yield workload
    workload.stop()


@pytest.fixture
def phase(request, workload, cluster):
    """Counts from the beginning of a test; afterwards says what happened, and that nothing was wrong."""
    workload.new_window()
    yield
    line = f"{request.node.name.removeprefix('test_')}: {workload.window()}"
    pauses.append(line)
    print(line)
    assert workload.wrong == []


def run_for(seconds: float) -> None:
    time.sleep(seconds)  # the workload runs; there is nothing to wait for but time


def assert_reads_go_on(workload: Workload) -> None:
    assert workload.reads.count > 0
    assert workload.reads.so_far() <= READ_PAUSE_MAX_S, workload.window()


def assert_writes_return(workload: Workload, seconds: float = 30) -> None:
    before = workload.writes.count
    wait_until("writes", seconds, lambda: workload.writes.count > before)


def leader(cluster) -> str:
    """The metadata node that leads the root group."""
    return wait_until("a root leader", 30, cluster.root_leader)


def is_whole(status: dict) -> bool:
    groups = status.get("groups", {})
    return 0 < groups.get("total", 0) == groups["healthy"] and all(node["up"] for node in status["nodes"])


def wait_whole(cluster, seconds: float = 90) -> None:
    """Until every node is up again: the next fault must meet a cluster without one."""
    cluster.wait_healthy(seconds)
    wait_until("a cluster without a fault", seconds, lambda: is_whole(cluster.admin_status()))


def large_put(cluster, key: str) -> None:
    """Too large to lie in the metadata: it needs a placement group."""
    patient(cluster).put_object(Bucket=BUCKET, Key=key, Body=os.urandom(3 * MIB))


def test_no_fault(cluster, workload, phase):
    run_for(PHASE_SECONDS)
    assert_reads_go_on(workload)
    assert workload.writes.count > 0


def test_one_data_node_killed(cluster, workload, phase):
    """Five of six keep n-1 of 4+2: writes go on."""
    cluster.kill(DATA[0].name)
    run_for(PHASE_SECONDS)
    assert_reads_go_on(workload)
    assert_writes_return(workload)
    large_put(cluster, "with one data node down")
    cluster.start(DATA[0].name)
    wait_whole(cluster)


@pytest.mark.parametrize("pair", [(0, 1), (2, 5), (3, 4)], ids=lambda pair: f"data-{pair[0] + 1}+data-{pair[1] + 1}")
def test_two_data_nodes_killed(cluster, workload, phase, pair):
    names = [DATA[index].name for index in pair]
    cluster.kill(*names)
    run_for(PHASE_SECONDS)
    assert_reads_go_on(workload)
    with pytest.raises(ClientError) as caught:
        client(cluster, read_timeout=60).put_object(Bucket=BUCKET, Key="refused", Body=os.urandom(3 * MIB))
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503, response
    assert len(response["Error"]["Message"]) > 20, response
    print(f"refused with: {response['Error']['Code']}: {response['Error']['Message']}")
    pauses.append(f"  refused with 503 {response['Error']['Code']}: {response['Error']['Message']}")
    for name in names:
        cluster.start(name)
    wait_whole(cluster)
    assert_writes_return(workload)
    large_put(cluster, "after two data nodes were down")


def test_metadata_leader_killed(cluster, workload, phase):
    name = leader(cluster)
    cluster.kill(name)
    run_for(PHASE_SECONDS)
    assert_reads_go_on(workload)
    assert_writes_return(workload)
    assert leader(cluster) != name
    cluster.start(name)
    wait_whole(cluster)


def test_gateway_killed(cluster, workload, phase):
    cluster.kill(GATEWAYS[0].name)
    run_for(PHASE_SECONDS)
    assert_reads_go_on(workload)
    assert_writes_return(workload)
    cluster.start(GATEWAYS[0].name)
    wait_whole(cluster)


def test_rolling_restart(cluster, workload, phase):
    """SIGTERM and start, one node after the other: nobody should notice much."""
    for name in NAMES:
        cluster.stop(name)
        cluster.start(name)
        wait_whole(cluster)
    assert_reads_go_on(workload)
    assert_writes_return(workload)


def test_restart_of_all(cluster, workload, phase):
    cluster.stop(*reversed(NAMES))
    for name in NAMES:
        cluster.start(name)
    wait_whole(cluster)
    assert_writes_return(workload)
    run_for(PHASE_SECONDS / 2)
    assert workload.reads.count > 0


def test_everything_killed_at_once(cluster, workload, phase):
    """As when the power fails."""
    cluster.kill(*NAMES)
    for name in NAMES:
        cluster.start(name)
    wait_whole(cluster)
    assert_writes_return(workload)
    run_for(PHASE_SECONDS / 2)
    assert workload.reads.count > 0


def test_every_acknowledged_object_reads_back(cluster, workload):
    workload.stop()
    checked, wrong = workload.check_everything(patient(cluster))
    print(f"{checked} keys checked, {len(wrong)} lost or wrong")
    pauses.append(f"{checked} keys checked at the end, {len(wrong)} lost or wrong")
    assert wrong == [] and workload.wrong == []
    # And once more with m data nodes gone: every object must still be readable.
    cluster.kill(DATA[1].name, DATA[4].name)
    checked, wrong = workload.check_everything(patient(cluster))
    pauses.append(f"{checked} keys checked with two data nodes down, {len(wrong)} lost or wrong")
    assert wrong == []
