"""The cluster as a whole: up, down, status, and kill or start of single nodes."""

import json
import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from . import clocks, network
from .layout import ADMIN_PORT, ALL, BALANCER, BY_NAME, GATEWAYS, META, NODES, S3_PORT, SPARE_META, SPARES, Node
from .links import Links
from .process import Process, wait_until
from .settings import load_secrets, node_config, write_private
from .volumes import Volumes

BALANCER_CONFIG = Path(__file__).resolve().parent.parent / "balancer" / "haproxy.cfg"


class ClusterError(Exception):
    """Something that the user must change; one sentence."""


# What fault tests need and others do not pay for: a proxy for each link, disks that forget, clocks that jump.
SEAMS = ("links", "volumes", "clocks")
# Memory that one node's disk may take.
VOLUME_MIB = int(os.environ.get("SHARDLAKE_NS_VOLUME_MIB", "1024"))


class Cluster:
    """3 metadata nodes, 6 data nodes, 2 gateways (or SHARDLAKE_NS_GATEWAYS) and the balancer.

    `folder` holds each node's configuration, data, log and pid file; `extra` is merged into every
    node's configuration, as `{"workers": {"gc_grace_s": 1}}`; `seams` are those of SEAMS that are wanted.
    """

    def __init__(
        self,
        folder: Path,
        binary: Path,
        extra: dict[str, dict[str, object]] | None = None,
        seams: tuple[str, ...] = (),
    ):
        self.folder = folder.resolve()
        self.binary = binary.resolve()
        self.extra = extra or {}
        self.seams = seams
        # The metadata nodes that a node is told of when it starts.
        self.meta = list(META)
        self.processes = {node.name: Process(node.name, self.folder / node.name, node.namespace) for node in ALL}
        self.links = Links(self.folder, self.binary.with_name("linkproxy"))
        self.volumes = Volumes(self.folder, self.binary.with_name("lossyfs"), VOLUME_MIB)

    @property
    def s3(self) -> str:
        return f"http://{BALANCER.address}:{S3_PORT}"

    @property
    def admin(self) -> str:
        return f"http://{BALANCER.address}:{ADMIN_PORT}"

    @property
    def gateways(self) -> list[str]:
        """S3 at each gateway, past the balancer."""
        return [f"http://{gateway.address}:{S3_PORT}" for gateway in GATEWAYS]

    @property
    def keys(self) -> dict[str, str]:
        return load_secrets(self.folder)

    def check_machine(self) -> None:
        """Says at once what is missing."""
        if os.geteuid() != 0:
            raise ClusterError("network namespaces need root: run it as root or with sudo")
        tools = [("ip", "iproute2"), ("haproxy", "haproxy")]
        tools += [("iptables-restore", "iptables")] if "links" in self.seams else []
        tools += [("cc", "gcc")] if "clocks" in self.seams else []
        for tool, package in tools:
            if shutil.which(tool) is None:
                raise ClusterError(f"{tool} is missing: install Debian's package {package}")
        if unknown := set(self.seams) - set(SEAMS):
            raise ClusterError(f"no seam is called {', '.join(unknown)}; there are {', '.join(SEAMS)}")
        programs = [(self.binary, "run `make build`, or set SHARDLAKE_BIN")]
        programs += [(self.links.program, "run `make harness`")] if "links" in self.seams else []
        programs += [(self.volumes.program, "run `make harness`")] if "volumes" in self.seams else []
        for program, cure in programs:
            if not os.access(program, os.X_OK):
                raise ClusterError(f"{program} is missing: {cure}")

    def up(self, wait_seconds: float = 90) -> None:
        """Starts what does not run, and waits until the cluster says that it is healthy."""
        self.check_machine()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        network.create()
        for node in ALL:
            self.processes[node.name].folder.mkdir(exist_ok=True)
        if "clocks" in self.seams:
            clocks.build(self.folder)
        if "volumes" in self.seams:
            self.volumes.up()
        if "links" in self.seams:
            self.links.up()
        for node in [*NODES, BALANCER]:
            self.start(node.name)
        self.wait_healthy(wait_seconds)

    def start(self, name: str) -> None:
        """Starts one node, unless it runs."""
        process, node = self._process(name), BY_NAME[name]
        process.folder.mkdir(exist_ok=True)
        if node is BALANCER:
            environment = {f"GATEWAY_{gateway.index}": gateway.address for gateway in GATEWAYS}
            process.start(["haproxy", "-db", "-f", str(BALANCER_CONFIG)], environment)
            return
        config = process.folder / "config.toml"
        write_private(config, node_config(node, process.folder, self.keys, self.extra, self.meta))
        (process.folder / "data").mkdir(exist_ok=True)
        clock = clocks.environment(self.folder / clocks.LIBRARY, process.folder) if "clocks" in self.seams else {}
        process.start([str(self.binary), node.role, "--config", str(config)], clock)

    def kill(self, *names: str) -> None:
        """kill -9 of all of them, as nearly at once as one can."""
        for name in names:
            self._process(name).signal(signal.SIGKILL)
        for name in names:
            self._process(name).wait_gone(10)

    def stop(self, *names: str, seconds: float = 60) -> None:
        """SIGTERM of all of them; waits until they have drained and gone."""
        for name in names:
            self._process(name).signal(signal.SIGTERM)
        for name in names:
            self._process(name).wait_gone(seconds)

    def down(self, delete: bool = False) -> None:
        """Stops everything and removes the network; the folder goes too if asked."""
        self.stop(*(node.name for node in reversed([*NODES, *SPARES])))
        self.kill(BALANCER.name)
        self.links.down()
        self.volumes.down()
        network.destroy()
        if delete:
            shutil.rmtree(self.folder, ignore_errors=True)

    def status(self) -> list[tuple[Node, int | None, str]]:
        """Each node, its pid, and what its readiness check says; spare ones only where they run."""
        pids = [(node, self.processes[node.name].pid()) for node in ALL]
        return [(node, pid, self._health(node)) for node, pid in pids if pid or node not in SPARES]

    def admin_command(self, *words: str, seconds: float = 30) -> subprocess.CompletedProcess:
        """Runs `shardlake admin WORDS` through the balancer. One that takes longer has failed."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SHARDLAKE_")}
        environment["SHARDLAKE_ROOT_ACCESS_KEY"] = self.keys["access_key"]
        environment["SHARDLAKE_ROOT_SECRET_KEY"] = self.keys["secret_key"]
        command = [self.binary, "admin", *words, "--endpoint", self.admin]
        try:
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 1, "", f"no answer within {seconds:.0f} s")

    def admin_status(self) -> dict:
        """What `shardlake admin status` knows of the cluster; nothing while nobody answers."""
        done = self.admin_command("status", "--json")
        return json.loads(done.stdout)["cluster"] or {} if done.returncode == 0 else {}

    def root_leader(self) -> str | None:
        """The metadata node that leads the root group."""
        return self._meta_name(self.admin_status().get("root_leader"))

    def index_leader(self) -> str | None:
        """The metadata node that leads the most index partitions; None unless all of them have a leader."""
        leaders = [partition["leader"] for partition in self.admin_status().get("partitions", [])]
        if not leaders or None in leaders:
            return None
        return self._meta_name(max(leaders, key=leaders.count))

    def get(self, path: str, address: str = BALANCER.address, seconds: float = 3) -> tuple[int, str]:
        """Status and body of an admin page; status 0 if nobody answers."""
        try:
            url = f"http://{address}:{ADMIN_PORT}{path}"
            with urllib.request.urlopen(url, timeout=seconds) as answer:
                return answer.status, answer.read().decode(errors="replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)

    def wait_healthy(self, seconds: float) -> None:
        """Until /health/cluster is fine through the balancer; says who is not well if it never is."""
        try:
            wait_until("a healthy cluster", seconds, lambda: self.get("/health/cluster")[0] == 200)
        except TimeoutError as error:
            status, body = self.get("/health/cluster")
            sick = [
                f"{node.name} ({health}): {self.processes[node.name].last_lines(3)}"
                for node, pid, health in self.status()
                if pid is None or health not in ("ready", "ok")
            ]
            raise ClusterError("\n".join([f"{error}: {status} {body.strip()}", *sick])) from error

    def _health(self, node: Node) -> str:
        status, body = self.get("/health/ready", node.address, 1)
        first = (body.strip().splitlines() or [""])[0]
        return "ready" if status == 200 else f"{status or 'down'} {first}"[:100]

    def _meta_name(self, index: int | None) -> str | None:
        return next((node.name for node in [*META, *SPARE_META] if node.index == index), None)

    def _process(self, name: str) -> Process:
        if name not in BY_NAME:
            raise ClusterError(f"no node is called {name!r}; there are {', '.join(BY_NAME)}")
        return self.processes[name]
