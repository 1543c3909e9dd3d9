"""Who is in the cluster, and where: names, roles and addresses of its nodes."""

import os
from dataclasses import dataclass

# The first three numbers of the cluster's own /24 network, and the prefix of what it creates.
SUBNET = os.environ.get("SHARDLAKE_NS_SUBNET", "10.89.7")
PREFIX = os.environ.get("SHARDLAKE_NS_PREFIX", "shardlake")
# The balancer knows up to three.
GATEWAY_COUNT = int(os.environ.get("SHARDLAKE_NS_GATEWAYS", "2"))

HOST_ADDRESS = f"{SUBNET}.1"
S3_PORT = 9000
ADMIN_PORT = 9001
NODE_PORT = 7000


@dataclass(frozen=True)
class Node:
    """One process in a namespace of its own."""

    name: str
    role: str  # "meta", "data", "gateway" or "balancer"
    index: int  # from 1 within the role
    address: str

    @property
    def namespace(self) -> str:
        return f"{PREFIX}-{self.name}"


def _nodes(role: str, count: int, first: int) -> list[Node]:
    return [Node(f"{role}-{i}", role, i, f"{SUBNET}.{first + i}") for i in range(1, count + 1)]


META = _nodes("meta", 3, 10)
DATA = _nodes("data", 6, 20)
GATEWAYS = _nodes("gateway", GATEWAY_COUNT, 30)
BALANCER = Node("balancer", "balancer", 1, f"{SUBNET}.2")

# Nodes that a growing cluster can take in; `up` leaves them alone, `start` starts them.
SPARE_META = [Node(f"meta-{i}", "meta", i, f"{SUBNET}.{10 + i}") for i in range(4, 7)]
SPARE_DATA = [Node(f"data-{i}", "data", i, f"{SUBNET}.{20 + i}") for i in range(7, 10)]
SPARES = [*SPARE_META, *SPARE_DATA]

# In the order in which they are started.
NODES = [*META, *DATA, *GATEWAYS]
ALL = [*NODES, *SPARES, BALANCER]
BY_NAME = {node.name: node for node in ALL}
