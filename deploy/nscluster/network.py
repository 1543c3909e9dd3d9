"""The network: one namespace per node, all on a bridge that has a namespace of its own.

The bridge is not in the machine's main namespace because a container engine's firewall there
would drop what crosses it. The machine itself joins through one veth pair, to reach the balancer.
"""

import subprocess

from .layout import ALL, HOST_ADDRESS, PREFIX, Node

SWITCH = f"{PREFIX}-switch"
# Names of network interfaces have at most 15 characters.
HOST_INTERFACE = f"{PREFIX[:10]}-host"


def _ip(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if check and done.returncode != 0:
        raise OSError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done


def namespaces() -> set[str]:
    """The namespaces of this cluster that exist."""
    lines = _ip("netns", "list").stdout.splitlines()
    ours = {SWITCH, *(node.namespace for node in ALL)}
    return {line.split()[0] for line in lines if line.strip()} & ours


def _attach(node: Node) -> None:
    """A namespace with `eth0`, whose other end is a port of the bridge."""
    _ip("netns", "add", node.namespace)
    _ip("-n", node.namespace, "link", "set", "lo", "up")
    _ip("-n", SWITCH, "link", "add", node.name, "type", "veth", "peer", "name", "eth0", "netns", node.namespace)
    _ip("-n", SWITCH, "link", "set", node.name, "master", "bridge", "up")
    _ip("-n", node.namespace, "address", "add", f"{node.address}/24", "dev", "eth0")
    _ip("-n", node.namespace, "link", "set", "eth0", "up")


def create() -> None:
    """Makes what is missing of the network. Half a network is torn down and made again."""
    there = namespaces()
    if len(there) == len(ALL) + 1:
        return
    if there:
        destroy()
    _ip("netns", "add", SWITCH)
    _ip("-n", SWITCH, "link", "add", "bridge", "type", "bridge")
    _ip("-n", SWITCH, "link", "set", "bridge", "up")
    for node in ALL:
        _attach(node)
    _ip("link", "add", HOST_INTERFACE, "type", "veth", "peer", "name", "host", "netns", SWITCH)
    _ip("-n", SWITCH, "link", "set", "host", "master", "bridge", "up")
    _ip("address", "add", f"{HOST_ADDRESS}/24", "dev", HOST_INTERFACE)
    _ip("link", "set", HOST_INTERFACE, "up")


def destroy() -> None:
    """Removes the namespaces; their interfaces go with them."""
    _ip("link", "delete", HOST_INTERFACE, check=False)
    for name in namespaces():
        _ip("netns", "delete", name)
