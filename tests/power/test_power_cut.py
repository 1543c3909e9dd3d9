"""The power fails under load: what was acknowledged is there afterwards, on real RocksDB over `lossyfs`.

kill -9 alone keeps the page cache; here everything that was not fsynced is lost or torn, so that an
acknowledgement before its fsync, a missing fsync of a folder, or a log that trusts its own tail show.
"""

import os
import random
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from support.lossy import LossyFolder
from support.server import DevServer
from support.wait import wait_until
from support.workload import Workload

CUTS = int(os.environ.get("SHARDLAKE_CUTS", "10"))
SEED = int(os.environ.get("SHARDLAKE_SEED", "1"))
# Buckets that stay, so that old objects live through later cuts too; older ones are emptied, for the
# garbage collection to be cut as well.
KEPT = 4


@pytest.fixture
def lossy(tmp_path):
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("mounting lossyfs needs root and /dev/fuse")
    folder = LossyFolder(tmp_path)
    yield folder
    folder.close()


@pytest.fixture
def server(lossy, tmp_path):
    server = DevServer(tmp_path)
    server.data = lossy.path / "data"
    yield server
    server.close()


def empty(s3, bucket: str) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        if page.get("Contents"):
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": item["Key"]} for item in page["Contents"]]})


def patient(server):
    """A client that does not repeat a request: what has no answer is in doubt."""
    return lambda: server.endpoint.boto3(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=20)


def test_nothing_acknowledged_is_lost_in_a_power_cut(lossy, server):
    chance = random.Random(SEED)
    began, checked = time.monotonic(), 0
    loads: list[Workload] = []
    server.start()
    for number in range(CUTS):
        seed, torn = chance.randrange(1 << 32), chance.random() < 0.7
        say = f"cut {number} of {CUTS} (SHARDLAKE_SEED={SEED}), {'torn' if torn else 'dropped'}"
        s3 = server.endpoint.boto3()
        bucket = f"load-{number}"
        s3.create_bucket(Bucket=bucket)
        load = Workload(patient(server), bucket, workers=4, seed=seed).start()
        loads.append(load)
        # Not before something is acknowledged, and then at any moment.
        wait_until("the first writes", 60, lambda: load.writes.count >= 5)
        time.sleep(chance.uniform(0.0, 1.5))
        server.kill()
        lossy.cut(seed, torn)
        load.stop()
        assert not load.wrong, (say, load.wrong[:5])
        server.start()
        s3 = server.endpoint.boto3()
        for load in loads[-KEPT:]:
            keys, wrong = load.check_everything(s3)
            checked += keys
            assert not wrong, (say, wrong[:5])
        if len(loads) > KEPT:
            empty(s3, loads.pop(0).bucket)
    server.assert_no_panic()
    assert server.stop() == 0
    writes = sum(load.writes.count for load in loads)
    print(f"{CUTS} power cuts in {time.monotonic() - began:.0f} s: {checked} keys read back, 0 lost or wrong")
    assert checked > 5 * CUTS and writes > 0


def write_until_refused(s3, bucket: str, seconds: float) -> tuple[dict[str, bytes], list[ClientError]]:
    """What was acknowledged, and the refusals."""
    kept, refusals = {}, []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and len(refusals) < 5:
        key, body = f"k{len(kept)}", os.urandom(200_000)
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=body)
            kept[key] = body
        except ClientError as error:
            refusals.append(error)
        except BotoCoreError:
            break
    return kept, refusals


def read_back(s3, bucket: str, kept: dict[str, bytes]) -> None:
    for key, body in kept.items():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body, key


@pytest.mark.parametrize("where", ["disk-2", "meta"])
def test_a_failed_fsync_loses_nothing_that_was_acknowledged(lossy, server, where):
    """After EIO the kernel calls the pages clean: whoever tries again and goes on has lost them."""
    s3 = server.start().endpoint.boto3(retries={"total_max_attempts": 1})
    s3.create_bucket(Bucket="lake")
    kept, refusals = write_until_refused(s3, "lake", 1)
    assert kept and not refusals
    lossy.faults(fsync_errors=3, on=f"/{where}/")
    more, _ = write_until_refused(s3, "lake", 3)
    server.close()
    lossy.cut(SEED, False)
    lossy.faults()
    s3 = server.start().endpoint.boto3()
    read_back(s3, "lake", {**kept, **more})
    assert server.stop() == 0


def test_a_full_disk_refuses_writes_and_serves_reads(lossy, server):
    s3 = server.start().endpoint.boto3(retries={"total_max_attempts": 1})
    s3.create_bucket(Bucket="lake")
    kept, _ = write_until_refused(s3, "lake", 1)
    lossy.faults(full=True)
    more, refusals = write_until_refused(s3, "lake", 10)
    assert refusals or server.process.poll() is not None, "a full disk is said"
    lossy.faults()
    if server.process.poll() is None:
        read_back(s3, "lake", {**kept, **more})
        server.kill()
    s3 = server.start().endpoint.boto3()
    read_back(s3, "lake", {**kept, **more})
    s3.put_object(Bucket="lake", Key="after", Body=b"space again")
    assert server.stop() == 0


def test_flipped_bits_are_never_served(lossy, server):
    """Two disks of six rot; every byte that comes back is right."""
    s3 = server.start().endpoint.boto3()
    s3.create_bucket(Bucket="lake")
    kept, _ = write_until_refused(s3, "lake", 3)
    assert server.stop() == 0
    # Logs, tables and blob files: what holds the shards.
    flipped = sum(
        lossy.command("flip", on=f"/disk-{disk}/db/0", count=1, seed=SEED + disk)["flipped"] for disk in (1, 4)
    )
    assert flipped == 2
    s3 = server.start().endpoint.boto3()
    read_back(s3, "lake", kept)
    server.close()
