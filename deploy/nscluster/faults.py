"""What a fault harness does to a cluster: one method for each thing that can happen, with plain arguments.

`deploy/cluster-ns control` offers them as JSON lines: {"do": "kill", "nodes": ["data-1"]}.
"""

import json
import signal
from collections.abc import Iterable
from typing import IO

from . import clocks
from .cluster import Cluster, ClusterError
from .jsonlines import CommandError
from .layout import ALL
from .members import Members

Pairs = list[tuple[str, str]]


class Faults:
    """Harms and heals a cluster that has all seams."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.members = Members(cluster)

    # ---- what there is

    def nodes(self) -> dict[str, object]:
        """Names by role, of those that are in the cluster now, and what the clients need."""
        keys = self.cluster.keys
        return {
            **self.members.roles(),
            "endpoints": self.cluster.gateways,
            "access_key": keys["access_key"],
            "secret_key": keys["secret_key"],
        }

    def index_leader(self) -> str | None:
        """Who leads the most index partitions; None while nobody knows."""
        return self.cluster.index_leader()

    def down(self) -> list[str]:
        """Nodes of the cluster whose process does not run."""
        return [name for name in self.members.names() if self.cluster.processes[name].pid() is None]

    def whole(self) -> bool:
        """Whether the cluster says of itself that nothing is missing."""
        status = self.cluster.admin_status()
        groups = status.get("groups", {})
        ready = not self.down() and self.cluster.get("/health/cluster")[0] == 200
        return ready and 0 < groups.get("total", 0) == groups["healthy"] and all(n["up"] for n in status["nodes"])

    def wait_healthy(self, seconds: float) -> None:
        self.cluster.wait_healthy(seconds)

    def logs(self) -> list[str]:
        """The last lines of every node's log that speak of a panic."""
        return [
            f"{node.name}: {line}"
            for node in ALL
            for line in self.cluster.processes[node.name].last_lines(1 << 30).splitlines()
            if "panicked at" in line
        ]

    # ---- processes

    def kill(self, nodes: Iterable[str]) -> None:
        self.cluster.kill(*nodes)

    def stop(self, nodes: Iterable[str]) -> None:
        self.cluster.stop(*nodes)

    def start(self, nodes: Iterable[str]) -> None:
        for name in nodes:
            self.cluster.start(name)

    def pause(self, nodes: Iterable[str]) -> None:
        """SIGSTOP."""
        for name in nodes:
            self.cluster.processes[name].signal(signal.SIGSTOP)

    def resume(self, nodes: Iterable[str]) -> None:
        """SIGCONT."""
        for name in nodes:
            self.cluster.processes[name].signal(signal.SIGCONT)

    # ---- members

    def join(self, nodes: Iterable[str]) -> None:
        """These data nodes join, with empty folders."""
        for name in nodes:
            self.members.join(name)

    def drain(self, nodes: Iterable[str]) -> None:
        """These data nodes begin to be emptied."""
        for name in nodes:
            self.members.drain(name)

    def leave(self, nodes: Iterable[str], wait_s: float) -> None:
        """Waits until these data nodes are empty, removes them, and empties their folders."""
        for name in nodes:
            self.members.leave(name, wait_s)

    def add_meta(self, node: str) -> None:
        self.members.add_meta(node)

    def remove_meta(self, node: str) -> None:
        self.members.remove_meta(node)

    # ---- the network

    def drop(self, pairs: Pairs) -> None:
        self.cluster.links.drop([tuple(pair) for pair in pairs])

    def weather(self, pairs: Pairs, weather: dict[str, object]) -> None:
        self.cluster.links.weather([tuple(pair) for pair in pairs], weather)

    def heal_network(self) -> None:
        self.cluster.links.heal()

    # ---- disks

    def cut(self, nodes: list[str], seed: int, torn: bool) -> None:
        """The power of these nodes fails at one moment: they die, and what was not fsynced is gone or torn."""
        self.cluster.kill(*nodes)
        for number, name in enumerate(nodes):
            if name in self.cluster.volumes.processes:
                self.cluster.volumes.command(name, "cut", seed=seed + number, torn=torn)

    def disk(self, nodes: Iterable[str], faults: dict[str, object]) -> None:
        """From now on these nodes' disks do this (crates/lossyfs/src/faults.rs); with {} nothing."""
        for name in nodes:
            self.cluster.volumes.command(name, "faults", **faults)

    def flip(self, node: str, on: str, count: int, seed: int) -> int:
        """Flips a durable bit in each of so many files; says in how many."""
        return self.cluster.volumes.command(node, "flip", on=on, count=count, seed=seed)["flipped"]

    def unflip(self, node: str) -> int:
        """Flips back what was flipped and is still there; says how many bits."""
        return self.cluster.volumes.command(node, "unflip")["flipped"]

    # ---- clocks

    def clock(self, nodes: Iterable[str], seconds: int) -> None:
        """These nodes' clocks are so much ahead from now on."""
        for name in nodes:
            clocks.set_offset(self.cluster.processes[name].folder, seconds)


def serve(faults: Faults, commands: IO[str], answers: IO[str]) -> None:
    """Does what each line says and answers {"ok": VALUE} or {"error": REASON}, until the input ends."""
    for line in commands:
        try:
            words = json.loads(line)
            verb = words.pop("do")
            if verb.startswith("_") or not callable(method := getattr(faults, verb, None)):
                raise ClusterError(f"no command is called {verb!r}")
            answer = {"ok": method(**words)}
        except (ClusterError, CommandError, TimeoutError, OSError, ValueError, KeyError, TypeError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
