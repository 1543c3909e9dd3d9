"""A cluster loses a disk, rots, grows and shrinks under a workload that checks every answer.

Asserted: redundancy comes back whole (`shardlake admin check`), no byte is wrong, no object is lost, and
what the scrub finds is exactly what was damaged. Printed: times, bytes against the least that had to
move, and the latencies of the workload. One cluster lasts over all tests, which run in the order written.
"""

import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from nscluster import Cluster
from nscluster.layout import ADMIN_PORT, DATA, GATEWAYS, META, SPARE_DATA
from support.chunks import chunks
from support.endpoint import Endpoint
from support.server import binary, clean_environment
from support.wait import wait_until
from support.workload import MIB, Workload

BUCKET = "heal"
# What lies in the cluster before the first fault, and how long the workload is watched without one.
PRELOAD_MIB = int(os.environ.get("SHARDLAKE_HEAL_MIB", "192"))
CALM_SECONDS = float(os.environ.get("SHARDLAKE_HEAL_CALM_S", "10"))
# How long a cluster of this size may take to be whole again.
WHOLE_SECONDS = 420
# The fullest disk may be so far over the mean when the cluster calls itself even.
SKEW_MAX = 0.05
SEED = int(os.environ.get("SHARDLAKE_SEED", "1"))
K, N = 4, 6
figures: list[str] = []


def say(line: str) -> None:
    figures.append(line)
    print(line)


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="shardlake-heal-"))
    # Deleted bytes are collected soon: disks that are being emptied wait for them.
    cluster = Cluster(folder, binary(), extra={"workers": {"gc_grace_s": 10}})
    try:
        cluster.up()
        yield cluster
        for process in cluster.processes.values():
            log = process.log.read_text(errors="replace") if process.log.exists() else ""
            assert "panicked at" not in log, f"{process.folder.name} panicked"
    except BaseException:
        print(f"the logs are in {folder}")
        cluster.down()
        raise
    cluster.down(delete=True)


def client(cluster):
    """503 and broken connections are tried again, as every SDK does; more than that counts as failed."""
    endpoint = Endpoint(cluster.s3, cluster.keys["access_key"], cluster.keys["secret_key"])
    return endpoint.boto3(retries={"total_max_attempts": 8, "mode": "standard"}, connect_timeout=3, read_timeout=60)


def admin(cluster, *verb: str, fails: bool = False):
    """The JSON of `shardlake admin VERB`, from the balancer."""
    environment = clean_environment(
        {
            "SHARDLAKE_ROOT_ACCESS_KEY": cluster.keys["access_key"],
            "SHARDLAKE_ROOT_SECRET_KEY": cluster.keys["secret_key"],
        }
    )
    command = [str(binary()), "admin", *verb, "--json", "--endpoint", f"http://{META[0].address}:{ADMIN_PORT}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert fails or done.returncode == 0, f"{verb}: {done.stdout[-2000:]} {done.stderr[-2000:]}"
    return json.loads(done.stdout) if done.stdout.strip() else {"error": done.stderr}


def check(cluster, *flags: str) -> dict:
    """The report of `shardlake admin check`, whatever its verdict."""
    answer = admin(cluster, "check", *flags, fails=True)
    return answer.get("report") or answer


def is_whole(report: dict) -> bool:
    """Every blob has all of its shards where they belong, and no move is under way."""
    return (
        bool(report.get("blobs"))
        and all(margin["full"] for margin in report["margins"] if margin["blobs"])
        and not any(report["ranks"][what] for what in ("missing", "damaged", "silent", "moving"))
        and report["placement"]["moving"] == 0
        and report["placement"]["leaving"] == 0
    )


def wait_whole(cluster, seconds: float = WHOLE_SECONDS) -> dict:
    reports: list[dict] = []

    def look():
        reports.append(check(cluster))
        return is_whole(reports[-1])

    try:
        wait_until("full redundancy", seconds, look)
    except TimeoutError as error:
        raise AssertionError(f"{error}: {json.dumps(reports[-1])[:3000]} {admin(cluster, 'workers')}") from error
    return reports[-1]


def worker(cluster, name: str) -> dict:
    """A worker of the root leader."""
    listed = admin(cluster, "workers")
    rows = listed if isinstance(listed, list) else listed["workers"]
    return next((row for row in rows if row["name"] == name), {})


def counted(cluster, worker_name: str, what: str, nodes=META) -> int:
    """What the workers of these nodes counted since they began."""
    total = 0
    pattern = re.compile(rf'^shardlake_worker_done_total{{(?=[^}}]*worker="{worker_name}")(?=[^}}]*what="{what}")[^}}]*}} (\S+)')
    for node in nodes:
        _, page = cluster.get("/metrics", node.address)
        total += sum(int(float(found.group(1))) for line in page.splitlines() if (found := pattern.match(line)))
    return total


def used_bytes(cluster) -> dict[int, int]:
    return {disk["id"]: disk["used_bytes"] for disk in admin(cluster, "disks")}


def shard_bytes(report: dict) -> dict[int, int]:
    """Bytes of shards by disk, as the disks' inventories say."""
    return {line["disk"]: line["bytes"] for line in report["disks"] if line["error"] is None}


def disk_of(cluster, name: str) -> int:
    """The disk of a data node that takes part in placement: the newest one that it serves."""
    address = cluster.processes[name].folder.name
    node = next(n for n in [*DATA, *SPARE_DATA] if n.name == address)
    nodes = {row["id"] for row in admin(cluster, "nodes") if row["address"].startswith(f"{node.address}:")}
    return max(disk["id"] for disk in admin(cluster, "disks") if disk["node"] in nodes)


def node_of(cluster, name: str) -> int:
    node = next(n for n in [*DATA, *SPARE_DATA] if n.name == name)
    return next(row["id"] for row in admin(cluster, "nodes") if row["address"].startswith(f"{node.address}:"))


def latencies(workload: Workload) -> str:
    reads, writes = workload.reads, workload.writes
    return (
        f"p99 of reads {reads.percentile_ms(99):.0f} ms (p50 {reads.percentile_ms(50):.0f}), "
        f"of writes {writes.percentile_ms(99):.0f} ms (p50 {writes.percentile_ms(50):.0f}); {workload.window()}"
    )


@pytest.fixture(scope="module")
def objects(cluster) -> dict[str, bytes]:
    """What lies there from the beginning: large and small."""
    s3 = client(cluster)
    s3.create_bucket(Bucket=BUCKET)
    chance = random.Random(SEED)
    kept: dict[str, bytes] = {}
    stored = 0
    while stored < PRELOAD_MIB * MIB:
        body = chance.randbytes(chance.choice([20_000, 300_000, 1_000_000, 4_500_000]))
        key = f"kept/{len(kept):05}"
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        kept[key] = body
        stored += len(body)
    wait_whole(cluster)
    return kept


@pytest.fixture
def workload(cluster, objects):
    client(cluster).create_bucket(Bucket=(bucket := f"load-{time.monotonic_ns()}"))
    workload = Workload(lambda: client(cluster), bucket, workers=4, seed=SEED).start()
    yield workload
    workload.stop()


def read_back(cluster, objects: dict[str, bytes]) -> None:
    s3 = client(cluster)
    for key, body in objects.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body, key


def end(cluster, workload: Workload, objects: dict[str, bytes]) -> None:
    """Stops the workload; nothing failed, nothing is lost or wrong."""
    errors = dict(workload.errors)
    workload.stop()
    keys, wrong = workload.check_everything(client(cluster))
    assert workload.wrong == [] and wrong == [], (workload.wrong[:5], wrong[:5])
    read_back(cluster, objects)
    say(f"  {keys + len(objects)} objects read back, 0 lost or wrong; failed requests: {errors or 0}")
    assert errors == {}


def calm(workload: Workload) -> None:
    workload.new_window()
    time.sleep(CALM_SECONDS)  # the workload runs; there is nothing to wait for but time
    say(f"  before: {latencies(workload)}")
    workload.new_window()


def test_one_disk_of_six_is_wiped(cluster, objects, workload):
    """The new folder is a new disk; the ranks of the old one move to it by themselves."""
    say("one disk of six wiped at 4+2, under load:")
    calm(workload)
    name = DATA[2].name
    lost = disk_of(cluster, name)
    least = shard_bytes(check(cluster))[lost]
    before = {what: counted(cluster, "mend", what) for what in ("written_bytes", "read_bytes", "readback_bytes")}
    cluster.kill(name)
    shutil.rmtree(cluster.processes[name].folder / "data" / "disk-0")
    began = time.monotonic()
    cluster.start(name)
    wait_until("the new disk", 60, lambda: disk_of(cluster, name) != lost)
    wait_whole(cluster)
    seconds = time.monotonic() - began
    moved = {what: counted(cluster, "mend", what) - start for what, start in before.items()}
    say(f"  whole again after {seconds:.0f} s; during: {latencies(workload)}")
    say(
        f"  written {moved['written_bytes'] / MIB:.1f} MiB for {least / MIB:.1f} MiB lost "
        f"(ratio {moved['written_bytes'] / least:.2f}); read {moved['read_bytes'] / MIB:.1f} MiB to rebuild "
        f"(ratio {moved['read_bytes'] / (K * least):.2f} of k times the loss), "
        f"and {moved['readback_bytes'] / MIB:.1f} MiB to verify what was written"
    )
    end(cluster, workload, objects)
    assert moved["written_bytes"] >= 0.9 * least


def flip_chunks(disk: Path, which) -> int:
    """Flips one bit of each chosen chunk of a stopped node's disk; how many shards were damaged."""
    chance = random.Random(SEED)
    chosen = which(list(chunks(disk)), chance)
    for chunk in chosen:
        chunk.flip(chance.randrange(1 << 30))
    return len({chunk.shard for chunk in chosen})


def one_percent(found, chance):
    return chance.sample(found, max(1, len(found) // 100))


def one_of_each(found, chance):
    by_shard: dict[int, list] = {}
    for chunk in found:
        by_shard.setdefault(chunk.shard, []).append(chunk)
    return [chance.choice(of_one) for of_one in by_shard.values()]


def restart(cluster, *names: str) -> None:
    cluster.stop(*names)
    for name in names:
        cluster.start(name)
    cluster.wait_healthy(90)


def test_rot_is_found_and_repaired(cluster, objects):
    """1 % of the chunks of one node, and a chunk of each blob on another."""
    first, second = DATA[0].name, DATA[1].name
    # What the log holds goes into tables and blob files when a disk is opened.
    restart(cluster, first, second)
    wait_whole(cluster)
    cluster.stop(first, second)
    disk = lambda name: cluster.processes[name].folder / "data" / "disk-0"  # noqa: E731
    damaged = flip_chunks(disk(first), one_percent) + flip_chunks(disk(second), one_of_each)
    cluster.start(first)
    cluster.start(second)
    cluster.wait_healthy(90)
    before = {what: counted(cluster, "scrub", what) for what in ("bad", "repaired")}
    rebuilt = counted(cluster, "repair", "shard_rebuilt", [*META, *GATEWAYS])
    began = time.monotonic()
    admin(cluster, "scrub", "start")
    # Readers meet the damage too, while the scrub is under way.
    read_back(cluster, objects)
    wait_until("the scrub", WHOLE_SECONDS, lambda: scrubbed(cluster))
    report = wait_until("nothing bad", WHOLE_SECONDS, lambda: verified(cluster))
    found = {what: counted(cluster, "scrub", what) - start for what, start in before.items()}
    # Each gateway repairs what its own readers met.
    by_readers = counted(cluster, "repair", "shard_rebuilt", [*META, *GATEWAYS]) - rebuilt
    say(
        f"bits flipped in {damaged} shards of two nodes: the scrub found {found['bad']} and repaired "
        f"{found['repaired']}, readers had {by_readers} repaired before it came by, in "
        f"{time.monotonic() - began:.0f} s; {report['read']['shards']} shards read afterwards, {report['read']['bad']} bad"
    )
    read_back(cluster, objects)


def scrubbed(cluster) -> bool:
    status = worker(cluster, "scrub")
    return bool(status) and not status.get("round") and bool(status.get("last_round"))


def verified(cluster) -> dict | None:
    report = check(cluster, "--verify")
    return report if report.get("read") and report["read"]["bad"] == 0 and is_whole(report) else None


def test_a_scrub_runs_beside_readers_and_writers(cluster, objects, workload):
    """Every byte is read once while the workload goes on; what that costs it is printed."""
    say("a scrub of everything, under load:")
    calm(workload)
    stored = sum(shard_bytes(check(cluster)).values())
    before = counted(cluster, "scrub", "verified_bytes")
    rounds = (worker(cluster, "scrub").get("last_round") or {}).get("began")
    began = time.monotonic()
    admin(cluster, "scrub", "start")

    def is_over() -> bool:
        status = worker(cluster, "scrub")
        last = status.get("last_round") or {}
        return not status.get("round") and last.get("began") not in (None, rounds)

    wait_until("the scrub", WHOLE_SECONDS, is_over)
    seconds = time.monotonic() - began
    read = counted(cluster, "scrub", "verified_bytes") - before
    say(f"  {read / MIB:.0f} MiB read in {seconds:.0f} s ({stored / MIB:.0f} MiB were stored); during: {latencies(workload)}")
    end(cluster, workload, objects)


def moved_bytes(cluster) -> int:
    return counted(cluster, "mend", "written_bytes")


def skew(report: dict, disks: int) -> float:
    """How far the fullest disk is over the mean of so many disks, by the bytes of shards."""
    fills = shard_bytes(report).values()
    return max(fills) * disks / max(sum(fills), 1) - 1


def wait_even(cluster, disks: int) -> dict:
    """Until so many disks hold shards, equally many, all blobs are whole, and nothing is under way."""

    def even():
        report = check(cluster)
        serving = [disk for disk in admin(cluster, "disks") if disk["state"] == "in" and disk["groups"]]
        idle = not worker(cluster, "rebalance").get("round")
        # Between two rounds it is idle too: the disks that came last may not have been looked at.
        fair = skew(report, disks) < SKEW_MAX
        return report if is_whole(report) and len(serving) == disks and idle and fair else None

    return wait_until(f"an even cluster of {disks} disks", WHOLE_SECONDS, even)


def test_six_nodes_become_nine_and_six_again(cluster, objects, workload):
    say("from 6 to 9 nodes and back, under load:")
    calm(workload)
    start, began = moved_bytes(cluster), time.monotonic()
    for node in SPARE_DATA:
        cluster.start(node.name)
    report = wait_even(cluster, 9)
    fills = shard_bytes(report)
    fills = {disk: fills[disk] for disk in sorted(fills) if fills[disk]}
    least = sum(fills.values()) * 3 // 9
    moved = moved_bytes(cluster) - start
    say(
        f"  6 to 9 in {time.monotonic() - began:.0f} s: {moved / MIB:.1f} MiB moved, the new disks' share is "
        f"{least / MIB:.1f} MiB (ratio {moved / least:.2f}); fullest disk {100 * skew(report, 9):.1f} % "
        f"over the mean; during: {latencies(workload)}"
    )
    start, began = moved_bytes(cluster), time.monotonic()
    leaving = {node.name: disk_of(cluster, node.name) for node in SPARE_DATA}
    share = 0
    for node in SPARE_DATA:
        # One node at a time: what the others take of it may have to move once more.
        share += shard_bytes(check(cluster))[leaving[node.name]]
        admin(cluster, "node", "drain", str(node_of(cluster, node.name)))
        wait_until(
            f"{node.name} to be empty",
            WHOLE_SECONDS,
            lambda disk=leaving[node.name]: any(
                row["id"] == disk and row["state"] == "out" for row in admin(cluster, "disks")
            ),
        )
        admin(cluster, "node", "remove", str(node_of(cluster, node.name)))
        cluster.stop(node.name)
    report = wait_whole(cluster)
    moved = moved_bytes(cluster) - start
    say(
        f"  9 to 6 in {time.monotonic() - began:.0f} s: {moved / MIB:.1f} MiB moved, {share / MIB:.1f} MiB lay on the nodes when "
        f"each was drained "
        f"(ratio {moved / max(share, 1):.2f}); during: {latencies(workload)}"
    )
    end(cluster, workload, objects)
    assert report["placement"]["violating"] == 0
