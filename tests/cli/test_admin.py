"""What operators do to a running `shardlake dev`: disks, checks, workers, figures."""

import json
import os
import shutil
import subprocess

import pytest
from support.admin import admin
from support.server import DevServer, binary, clean_environment
from support.wait import wait_until


def CLIENT():
    version = subprocess.run([binary(), "--version"], capture_output=True, text=True, check=True)
    return "shardlake: admin", version.stdout.strip()


@pytest.fixture
def server(tmp_path):
    server = DevServer(tmp_path)
    server.start("--gc-grace-s", "10")
    yield server
    server.close()
    server.assert_no_panic()


def ask(server: DevServer, *words, seconds: float = 120, program=("admin",)) -> subprocess.CompletedProcess:
    """Runs `shardlake admin WORDS` as root."""
    environment = clean_environment(
        {
            "SHARDLAKE_ROOT_ACCESS_KEY": server.endpoint.access_key,
            "SHARDLAKE_ROOT_SECRET_KEY": server.endpoint.secret_key,
        }
    )
    command = [binary(), *program, *words, "--endpoint", server.admin]
    return subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=seconds
    )


def do(server: DevServer, *words, **options) -> str:
    """The same, which must succeed."""
    done = ask(server, *words, **options)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def refused(server: DevServer, *words, status: int = 2, **options) -> str:
    """The same, which must be refused in one line."""
    done = ask(server, *words, **options)
    assert done.returncode == status, (words, done.stdout, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    return done.stderr


def fill(server: DevServer, count: int = 20) -> dict[str, bytes]:
    s3 = server.endpoint.boto3()
    s3.create_bucket(Bucket="lake")
    bodies = {f"key-{number}": os.urandom(10_000 + 30_000 * (number % 5)) for number in range(count)}
    for key, body in bodies.items():
        s3.put_object(Bucket="lake", Key=key, Body=body)
    wait_until("all shards confirmed", 60, lambda: settled(server))
    return bodies


def settled(server: DevServer) -> bool:
    counts = admin(server.endpoint, "shards")
    return counts["complete"] and counts["pending"] == 0


def read_back(server: DevServer, bodies: dict[str, bytes]) -> None:
    s3 = server.endpoint.boto3()
    for key, body in bodies.items():
        assert s3.get_object(Bucket="lake", Key=key)["Body"].read() == body, key


def workers(server: DevServer) -> dict[str, dict]:
    return {worker["name"]: worker for worker in admin(server.endpoint, "workers")}


def test_a_clean_cluster_is_proven_clean(server):
    fill(server)
    for flags in ((), ("--verify",)):
        text = do(server, "check", *flags)
        assert "as promised" in text and "LESS THAN PROMISED" not in text, text
        report = json.loads(do(server, "check", *flags, "--json"))
        assert (report["state"], report["faults"]) == ("done", [])
        found = report["report"]
        assert found["blobs"] == 20 and [row["margin"] for row in found["margins"]] == [2]
        assert {disk["shards"] for disk in found["disks"]} == {20}
        harmless = [line for line in found["one_more"] if line["kind"] == "disk"]
        assert harmless == [
            {"kind": "disk", "units": 6, "harmful": 0, "worst": None, "blobs": 0, "promised": True}
        ]
        if flags:
            assert found["read"]["shards"] == 120 and found["read"]["bad"] == 0
    last = json.loads(do(server, "check", "status", "--json"))
    assert last["state"] == "done" and last["verify"]
    assert "no check is under way" in refused(server, "check", "cancel")


def test_a_wiped_disk_is_found_and_named(server):
    bodies = fill(server)
    for name in ("repair", "heal", "scrub", "rebalance"):
        if name in workers(server):
            do(server, "workers", "cancel", name)
            wait_until(f"{name} held", 30, lambda name=name: workers(server)[name]["state"] == "cancelled")
    assert server.stop() == 0
    shutil.rmtree(server.data / "disk-2")
    server.start("--gc-grace-s", "10")
    done = ask(server, "check")
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "LESS THAN PROMISED" in done.stdout and "on silent disks: 20" in done.stdout, done.stdout
    assert "20 blobs are readable with less redundancy than promised" in done.stderr, done.stderr
    read_back(server, bodies)


def test_workers_are_throttled_cancelled_and_started_for_good(server):
    before = workers(server)["orphans"]
    assert before["node"] == 1 and before["throttle_percent"] is not None
    do(server, "workers", "throttle", "orphans", "700")
    do(server, "workers", "cancel", "garbage")
    wait_until("a throttled one", 30, lambda: workers(server)["orphans"]["throttle_percent"] == 700)
    wait_until("a held one", 30, lambda: workers(server)["garbage"]["state"] == "cancelled")
    assert server.stop() == 0
    server.start("--gc-grace-s", "10")
    wait_until("it is held again", 30, lambda: workers(server).get("garbage", {}).get("state") == "cancelled")
    assert workers(server)["orphans"]["throttle_percent"] == 700
    assert "cancelled" in do(server, "workers")
    do(server, "workers", "start", "garbage")
    wait_until("it goes on", 30, lambda: workers(server)["garbage"]["state"] != "cancelled")
    assert "there is no worker \"nobody\"" in refused(server, "workers", "cancel", "nobody")
    assert "10000" in refused(server, "workers", "throttle", "orphans", "10001")
    assert "NAME has letters" in refused(server, "workers", "start", "../disks")


def test_a_scrub_on_request_reads_every_byte(server):
    fill(server)
    disks = json.loads(do(server, "check", "--json"))["report"]["disks"]
    stored = sum(disk["bytes"] for disk in disks)
    wait_until("the scrub's worker", 30, lambda: "scrub" in workers(server))
    do(server, "scrub", "start")

    def read_all() -> bool:
        last = json.loads(do(server, "scrub", "status", "--json"))["last_round"]
        return last is not None and last["counts"].get("bytes") == stored

    wait_until("a round that read everything", 120, read_all)
    assert "scrub" in do(server, "scrub", "status")


def test_a_disk_is_added_while_it_runs_and_is_there_after_a_restart(server, tmp_path):
    added = json.loads(do(server, "disk", "add", "--json"))
    assert (added["disk"], added["class"]) == (7, "hot") and added["path"] == str(server.data / "disk-6")
    elsewhere = tmp_path / "elsewhere"
    node = str(added["node"])
    added = json.loads(do(server, "disk", "add", node, elsewhere, "--class", "cold", "--json"))
    assert (added["disk"], added["path"], added["class"]) == (8, str(elsewhere), "cold")

    def seen() -> bool:
        disks = {disk["id"]: disk for disk in admin(server.endpoint, "disk", "list")}
        up = {disk for disk, row in disks.items() if row["up"]}
        return up == set(range(1, 9)) and (disks[7]["class"], disks[8]["class"]) == ("hot", "cold")

    wait_until("eight disks", 30, seen)
    assert server.stop() == 0
    server.start()
    wait_until("eight disks after the restart", 30, seen)
    assert {disk["disk"] for disk in admin(server.endpoint, "shards")["disks"]} == set(range(1, 9))


def test_folders_that_cannot_be_a_disk_are_refused(server, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.doc").write_text("words")
    node = str(admin(server.endpoint, "disk", "list")[0]["node"])
    for path, said in (
        ("relative", "absolute path"),
        ("/", "folder of its own"),
        (server.data / "disk-0", "is a disk of this node already"),
        (server.data / "disk-0" / "db", "lie in each other"),
        (full, "not empty"),
    ):
        assert said in refused(server, "disk", "add", node, path), path
    assert "not node 4711" in refused(server, "disk", "add", "4711", tmp_path / "new")
    assert "not one of hot, warm, cold" in refused(
        server, "disk", "add", node, tmp_path / "new", "--class", "fast"
    )
    assert len(admin(server.endpoint, "disk", "list")) == 6
    assert (full / "thesis.doc").read_text() == "words" and not (tmp_path / "new").exists()


def disks(server: DevServer) -> dict[int, dict]:
    return {disk["id"]: disk for disk in admin(server.endpoint, "disk", "list")}


def wait_until_whole(server: DevServer) -> None:
    wait_until("a clean check", 180, lambda: ask(server, "check").returncode == 0)


def test_a_disk_is_emptied_and_removed(server):
    bodies = fill(server)
    assert "cannot be formed any more" in refused(server, "disk", "drain", "1")
    assert disks(server)[1]["state"] == "in", "nothing has changed"
    do(server, "disk", "add")
    wait_until("the seventh disk", 30, lambda: disks(server).get(7, {}).get("up"))
    assert "drain it first" in refused(server, "disk", "remove", "1")
    do(server, "disk", "drain", "1")
    # What a process knows of the cluster is up to some seconds old.
    wait_until("what was decided", 30, lambda: disks(server).get(1, {}).get("state") in ("draining", "out", None))
    wait_until("an empty disk", 180, lambda: ask(server, "disk", "remove", "1").returncode == 0)
    wait_until("its line to go", 30, lambda: set(disks(server)) == set(range(2, 8)))
    wait_until_whole(server)
    read_back(server, bodies)
    assert server.stop() == 0
    server.start("--gc-grace-s", "10")
    assert set(disks(server)) == set(range(2, 8)), "its folder is not taken for a new disk"
    read_back(server, bodies)
    assert "there is no disk" in refused(server, "disk", "drain", "1")


def test_a_drain_is_taken_back(server):
    do(server, "disk", "add")
    wait_until("the seventh disk", 30, lambda: disks(server).get(7, {}).get("up"))
    do(server, "workers", "cancel", "rebalance")
    wait_until("it is held", 30, lambda: workers(server)["rebalance"]["state"] == "cancelled")
    do(server, "disk", "drain", "2")
    wait_until("the decision", 30, lambda: disks(server)[2]["state"] == "draining")
    do(server, "disk", "undrain", "2")
    wait_until("it to be taken back", 30, lambda: disks(server)[2]["state"] == "in")


def test_a_wiped_disk_is_replaced_by_one_command(server):
    bodies = fill(server)
    assert server.stop() == 0
    shutil.rmtree(server.data / "disk-2")
    server.start("--gc-grace-s", "10")
    wait_until("its folder as a new disk", 30, lambda: disks(server).get(7, {}).get("up"))
    wait_until("the old one down", 30, lambda: not disks(server)[3]["up"])
    do(server, "disk", "replace", "3", "7")
    wait_until_whole(server)
    read_back(server, bodies)
    wait_until("the old one forgotten", 60, lambda: ask(server, "disk", "remove", "3").returncode == 0)
    wait_until("its line to go", 30, lambda: set(disks(server)) == {1, 2, 4, 5, 6, 7})


def test_a_disk_is_replaced_by_one_that_is_made_for_it(server):
    bodies = fill(server)
    assert "no disk 77" in refused(server, "disk", "replace", "77")
    assert len(disks(server)) == 6, "nothing is made for what is not there"
    do(server, "disk", "replace", "2")
    wait_until("the exchange", 30, lambda: disks(server)[2]["state"] != "in" and disks(server)[7]["groups"] > 0)
    wait_until("the old one forgotten", 180, lambda: ask(server, "disk", "remove", "2").returncode == 0)
    wait_until_whole(server)
    read_back(server, bodies)


def test_the_only_node_cannot_go(server):
    node = str(admin(server.endpoint, "node", "list")[0]["id"])
    assert "cannot be formed any more" in refused(server, "node", "drain", node)
    refused(server, "node", "remove", node)
    assert "there is no node" in refused(server, "node", "drain", "4711")


def test_nodes_are_listed_and_none_can_join_one_process(server):
    nodes = admin(server.endpoint, "node", "list")
    assert {(node["role"], node["level"]) for node in nodes} == {("data", 1)}
    assert all({"zone", "rack"} <= node.keys() for node in nodes)
    line = refused(server, "node", "add")
    assert "no node can join it" in line and server.endpoint.secret_key not in line


def test_there_is_no_level_to_finalise(server):
    status = admin(server.endpoint, "upgrade", "status")
    assert (status["level"], status["known"], status["next"]) == (1, 1, None)
    assert "nothing to finalise" in refused(server, "upgrade", "finalise")


def test_durability_is_computed_for_the_real_disks(server):
    words = ("--cycles", "200")
    text = do(server, *words, program=("durability",))
    for said in ("rs-4-2", "1.5 %", "4 %", "simulator", "Assumed:", "Repair speed: 30 MB/s"):
        assert said in text, (said, text)
    figures = json.loads(do(server, *words, "--afr", "2", "--json", program=("durability",)))
    assert [line["failures_per_disk_year"] for line in figures] == [0.02]
    row = next(row for row in figures[0]["rows"] if row["policy"] == "rs-4-2")
    assert row["disks"] == 6 and row["scatter_least"] == 5 and row["nines_group"] > 1
    assert "0.01 to 100" in refused(server, "--afr", "0", program=("durability",))


def test_changes_need_the_root_account(server):
    environment = clean_environment(
        {"SHARDLAKE_ROOT_ACCESS_KEY": "SLOTHER", "SHARDLAKE_ROOT_SECRET_KEY": "another-secret-key"}
    )
    for words in (("disk", "add"), ("check",), ("workers", "cancel", "garbage"), ("upgrade", "finalise")):
        command = [binary(), "admin", *words, "--endpoint", server.admin]
        done = subprocess.run(
            list(map(str, command)), env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 1 and "401" in done.stderr, (words, done.stderr)
    assert len(admin(server.endpoint, "disk", "list")) == 6
