"""The links between the nodes: what leaves a node for another passes a proxy, and packets can be dropped.

In each node's namespace the kernel redirects connections to another node to a `linkproxy` of the same
namespace, which listens on one port for each peer. So a link (from, to) can be slow, lossy or dead on its
own, and no node has to know. The proxy runs under a group of its own, whose connections go through.
"""

import subprocess
from pathlib import Path

from .jsonlines import command
from .layout import BY_NAME, NODE_PORT, NODES, SPARES, Node
from .process import Process, wait_until

# The proxy's own connections are told by this group id from the node's.
PROXY_GROUP = 47001
FIRST_PORT = 17000

# Who has links: nodes that may join later too.
LINKED = [*NODES, *SPARES]

Pair = tuple[str, str]


def _port(peer: Node) -> int:
    return FIRST_PORT + int(peer.address.rpartition(".")[2])


def _peers(node: Node) -> list[Node]:
    return [peer for peer in LINKED if peer is not node]


def _restore(node: Node, table: str, rules: list[str]) -> None:
    """Makes these the rules of a table of the namespace's firewall, all at once."""
    text = "\n".join([f"*{table}", *rules, "COMMIT", ""])
    tool = ["ip", "netns", "exec", node.namespace, "iptables-restore", "-w", "-T", table]
    done = subprocess.run(tool, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"iptables-restore in {node.namespace}: {done.stderr.strip()}")


class Links:
    """All links of a cluster whose files lie in `folder`."""

    def __init__(self, folder: Path, program: Path):
        self.folder = folder
        self.program = program
        self.processes = {
            node.name: Process(node.name, folder / node.name, node.namespace, "linkproxy") for node in LINKED
        }

    def _socket(self, name: str) -> Path:
        return self.folder / name / "links.sock"

    def up(self) -> None:
        """Starts the proxies that do not run, and redirects to them. Every link is fair then."""
        for node in LINKED:
            self._start(node)
        for node in LINKED:
            wait_until(f"{node.name}'s linkproxy", 30, self._socket(node.name).exists)
            own = f"-m owner ! --gid-owner {PROXY_GROUP}"
            rules = [
                f"-A OUTPUT -d {peer.address}/32 -p tcp --dport {NODE_PORT} {own} -j REDIRECT --to-ports {_port(peer)}"
                for peer in _peers(node)
            ]
            _restore(node, "nat", rules)
        self.heal()

    def _start(self, node: Node) -> None:
        process = self.processes[node.name]
        if process.pid() is not None:
            return
        process.folder.mkdir(exist_ok=True)
        self._socket(node.name).unlink(missing_ok=True)
        links = [f"--link={_port(peer)}={peer.address}:{NODE_PORT}" for peer in _peers(node)]
        program = [str(self.program), "--control", str(self._socket(node.name)), *links]
        process.start(program, {}, group=PROXY_GROUP)

    def down(self) -> None:
        """Ends the proxies; the rules go with the namespaces."""
        for process in self.processes.values():
            process.kill()

    def drop(self, pairs: list[Pair]) -> None:
        """From now on the kernel drops every packet from the first to the second of each pair, and no other."""
        for node in LINKED:
            targets = [BY_NAME[target].address for source, target in pairs if source == node.name]
            # `raw` comes before the redirection.
            _restore(node, "raw", [f"-A OUTPUT -d {address}/32 -j DROP" for address in targets])

    def weather(self, pairs: list[Pair], weather: dict[str, object]) -> None:
        """From now on what passes from the first to the second of each pair has this weather, and all else is fair.

        The bytes from A to B travel on connections that A opened, and on those that B opened.
        """
        for node in LINKED:
            command(self._socket(node.name), do="clear")
        directions: dict[Pair, dict[str, object]] = {}
        for source, target in pairs:
            directions.setdefault((source, target), {})["send"] = weather
            directions.setdefault((target, source), {})["receive"] = weather
        for (name, peer), both in directions.items():
            command(self._socket(name), do="set", peers=[f"{BY_NAME[peer].address}:{NODE_PORT}"], **both)

    def heal(self) -> None:
        """Every link is fair."""
        self.drop([])
        self.weather([], {})

    def standing(self, name: str) -> list[dict]:
        """What the proxy of a node says of its links."""
        return command(self._socket(name), do="status")["links"]
