"""Who is in the cluster: data nodes join, are emptied and leave, metadata nodes take each other's place.

Everything is done by the operator's commands (`shardlake admin`), as docs/operations.md tells it.
"""

import json
import shutil

from .cluster import Cluster, ClusterError
from .layout import DATA, GATEWAYS, META, NODE_PORT, SPARE_DATA, SPARE_META, Node
from .process import wait_until

# What a new node may take to be known, and a command to be accepted that is refused for a passing reason.
SETTLE_SECONDS = 60
# One command of `shardlake admin`. The verbs of metadata nodes wait until the change is done.
COMMAND_SECONDS = 30
META_SECONDS = 180


def _named(nodes: list[Node], name: str) -> Node:
    return next(node for node in nodes if node.name == name)


class Members:
    """The members of a cluster that was started with `up`."""

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.data = list(DATA)

    def names(self) -> list[str]:
        """All nodes that should run."""
        return [node.name for node in [*self.cluster.meta, *self.data, *GATEWAYS]]

    def roles(self) -> dict[str, list[str]]:
        """The names by role, and who may join. `grown` are data nodes that joined, and may leave."""
        meta = self.cluster.meta
        names = lambda nodes: [node.name for node in nodes]  # noqa: E731
        # The id of a removed metadata node is never used again: those that were there cannot come back.
        newest = max(node.index for node in meta)
        return {
            "meta": names(meta),
            "data": names(self.data),
            "gateway": names(GATEWAYS),
            "grown": names(node for node in self.data if node in SPARE_DATA),
            "spare_data": names(node for node in SPARE_DATA if node not in self.data),
            "spare_meta": names(node for node in SPARE_META if node.index > newest),
        }

    # ---- data nodes

    def join(self, name: str) -> None:
        """Starts a data node whose folder is empty, and waits until the cluster has its disks."""
        node = _named([*DATA, *SPARE_DATA], name)
        if node in self.data:
            raise ClusterError(f"{name} is in the cluster")
        self.cluster.start(name)
        self.data.append(node)
        wait_until(f"{name} to register", SETTLE_SECONDS, lambda: self._disks(self._newest(node)))

    def drain(self, name: str) -> None:
        """Begins to empty a data node."""
        node = _named(self.data, name)
        leaving = wait_until(f"the id of {name}", SETTLE_SECONDS, lambda: self._newest(node))
        self._accepted(COMMAND_SECONDS, "node", "drain", str(leaving))

    def leave(self, name: str, seconds: float) -> None:
        """Waits until a data node that is drained is empty, removes it, and empties its folder."""
        node = _named(self.data, name)
        leaving = wait_until(f"the id of {name}", SETTLE_SECONDS, lambda: self._newest(node))
        states = lambda: {disk["state"] for disk in self._disks(leaving)}  # noqa: E731
        try:
            wait_until(f"{name} to be empty", seconds, lambda: states() == {"out"})
        except TimeoutError as error:
            raise ClusterError(f"{error}: {self.cluster.admin_command('workers').stdout}") from error
        self._accepted(COMMAND_SECONDS, "node", "remove", str(leaving), done="there is no node")
        self.data.remove(node)
        self.cluster.stop(name)
        for entry in (self.cluster.processes[name].folder / "data").iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    # ---- metadata nodes

    def add_meta(self, name: str) -> None:
        """Starts a metadata node with an id that was never used, and gives it its votes."""
        node = _named(SPARE_META, name)
        self.cluster.start(name)
        wait_until(f"{name} to register", SETTLE_SECONDS, lambda: self._knows(node))
        self.cluster.meta.append(node)
        self._accepted(META_SECONDS, "meta", "add", str(node.index), f"{node.address}:{NODE_PORT}")

    def remove_meta(self, name: str) -> None:
        """Takes its votes from a metadata node, which ends by itself then."""
        node = _named([*META, *SPARE_META], name)
        self._accepted(META_SECONDS, "meta", "remove", str(node.index), done="there is no metadata node")
        self.cluster.meta.remove(node)
        self.cluster.processes[name].wait_gone(SETTLE_SECONDS)

    def _knows(self, node: Node) -> bool:
        done = self.cluster.admin_command("meta", "list", "--json", seconds=COMMAND_SECONDS)
        return done.returncode == 0 and node.index in (row["node"] for row in json.loads(done.stdout)["nodes"])

    # ---- what the cluster says

    def _accepted(self, seconds: float, *words: str, done: str | None = None) -> None:
        """Has `shardlake admin WORDS` done. It is asked again while it is refused: what is away, or has just
        started, is a reason that passes. `done` is how a repetition is refused when the first one was done
        and its answer was lost, as that of a node that removes itself."""
        refusals: list[str] = []

        def accepted() -> bool:
            asked = self.cluster.admin_command(*words, seconds=seconds)
            refusals.append((asked.stdout + asked.stderr).strip())
            is_repeated = len(refusals) > 1 and done is not None and done in refusals[-1]
            return asked.returncode == 0 or is_repeated

        try:
            wait_until(f"`shardlake admin {' '.join(words)}`", SETTLE_SECONDS, accepted)
        except TimeoutError as error:
            raise ClusterError(f"{error}: {refusals[-1]}") from error

    def _rows(self, *words: str) -> list[dict]:
        """What a listing has; nothing while nobody answers, as between two leaders."""
        done = self.cluster.admin_command(*words, "--json", seconds=COMMAND_SECONDS)
        return json.loads(done.stdout) if done.returncode == 0 else []

    def _newest(self, node: Node) -> int | None:
        """The id of the last data node of this machine that the cluster knows: ids only grow."""
        address = f"{node.address}:{NODE_PORT}"
        return max((row["id"] for row in self._rows("nodes") if row["address"] == address), default=None)

    def _disks(self, of: int | None) -> list[dict]:
        return [disk for disk in self._rows("disks") if disk["node"] == of]
