"""A whole Shardlake cluster on one machine: each node in a network namespace with its own address.

For machines where no container engine runs, and for fault tests, which need to kill and restart
single nodes. `deploy/cluster-ns` is its command line; tests import `Cluster`.
"""

from .cluster import Cluster, ClusterError

__all__ = ["Cluster", "ClusterError"]
