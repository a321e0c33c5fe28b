"""Nodes on one machine: network namespaces on a bridge, and a Ray cluster in them. They need root and iproute2."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.soak import family

ROOT = Path(__file__).parent.parent
PORT = 6379


class Nodes:
    """Namespaces on a bridge, each with an address, and with mounts of its own where it is given some.

    Args:
        folder: for what is said.
        count: how many there are.
    """

    def __init__(self, folder: Path, count: int = 3) -> None:
        self.last = count - 1
        self.folder, self._mark = folder, f"fg{os.getpid() % 100000}"
        self.environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}

    def address(self, node: int) -> str:
        """The address of a node."""
        return f"10.213.{os.getpid() % 250}.{node + 1}"

    def __enter__(self) -> Self:
        _ip("link", "add", self._mark, "type", "bridge")
        _ip("link", "set", self._mark, "up")
        for node in range(self.last + 1):
            space, inner, outer = f"{self._mark}n{node}", f"{self._mark}i{node}", f"{self._mark}o{node}"
            _ip("netns", "add", space)
            _ip("link", "add", outer, "type", "veth", "peer", "name", inner)
            _ip("link", "set", outer, "master", self._mark, "up")
            _ip("link", "set", inner, "netns", space)
            _ip("-n", space, "addr", "add", f"{self.address(node)}/24", "dev", inner)
            _ip("-n", space, "link", "set", inner, "up")
            _ip("-n", space, "link", "set", "lo", "up")
        return self

    def __exit__(self, *exc: object) -> None:
        for node in range(self.last + 1):
            self.end(node)
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", f"{self._mark}n{node}")
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._mark)

    def inside(self, node: int, *command: str, mounts: Mapping[Path, Path] | None = None, told: str) -> subprocess.Popen[bytes]:
        """Start a command on a node; ``mounts``: what it sees in the place of what others see there."""
        # `ip netns exec` would hide the control groups, which Slurm's daemons look for.
        prefix = ["nsenter", f"--net=/run/netns/{self._mark}n{node}"]
        for place, other in (mounts or {}).items():
            mount = 'mount --bind "$0" "$1" && shift && exec "$@"'
            prefix += ["unshare", "-m", "sh", "-c", mount, str(other), str(place)]
        with (self.folder / told).open("wb") as out:
            return subprocess.Popen(
                [*prefix, *command], stdout=out, stderr=out, env=self.environment, start_new_session=True, cwd=ROOT
            )

    def pids(self, node: int, word: str) -> list[int]:
        """Processes on a node that have a word on their command line."""
        told = subprocess.run(["ip", "netns", "pids", f"{self._mark}n{node}"], capture_output=True, text=True, check=False)
        found = []
        for one in map(int, told.stdout.split()):
            with suppress(OSError):
                if word.encode() in (Path("/proc") / str(one) / "cmdline").read_bytes():
                    found.append(one)
        return found

    def end(self, node: int) -> None:
        """End all that runs on a node, at once."""
        for one in self.pids(node, ""):
            with suppress(OSError):
                os.kill(one, signal.SIGKILL)


class Cluster(Nodes):
    """Ray on nodes; the first has the head and the driver.

    Args:
        folder: for Ray's files and what is said.
        count: how many there are.
    """

    def __init__(self, folder: Path, count: int = 3) -> None:
        super().__init__(folder, count)
        # Ray's sockets have short names only.
        self._short = Path(tempfile.mkdtemp(prefix="fg", dir="/tmp"))
        self.nodes: dict[int, subprocess.Popen[bytes]] = {}
        self._changed = False
        self.environment |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
            # A node that is gone is noticed in seconds.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "3",
        }

    def __exit__(self, *exc: object) -> None:
        for node in list(self.nodes):
            self.kill(node)
        super().__exit__(*exc)
        shutil.rmtree(self._short, ignore_errors=True)

    def launch(self, node: int, mounts: Mapping[Path, Path] | None = None) -> Path:
        """Start Ray on a node, and wait for nothing; where it says what it does."""
        where = ["--head", f"--port={PORT}"] if node == 0 else [f"--address={self.address(0)}:{PORT}"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", *where, f"--node-ip-address={self.address(node)}"]
        ray += ["--num-cpus=1", "--num-gpus=0", "--object-store-memory=80000000", "--block"]
        ray += ["--include-dashboard=false", f"--temp-dir={self._short}/{node}"] if node == 0 else []
        told = f"node-{node}-{time.monotonic_ns()}"
        self.nodes[node] = self.inside(node, *ray, mounts=mounts, told=told)
        return self.folder / told

    def start(self, node: int, mounts: Mapping[Path, Path] | None = None) -> None:
        """Start Ray on a node, which must come up."""
        told, deadline = self.launch(node, mounts), time.monotonic() + 180
        while "Ray runtime started" not in (said := told.read_text("utf-8", "replace")):
            if self.nodes[node].poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"node {node} does not come up: {said[-2000:]}")
            time.sleep(0.2)

    def kill(self, node: int) -> None:
        """End all that runs on a node, and what led there, at once."""
        process = self.nodes.pop(node)
        for one in family(process.pid):
            with suppress(OSError):
                os.kill(one, signal.SIGKILL)
        process.wait()
        self.end(node)

    def up(self, mounts: Mapping[Path, Path] | None = None) -> None:
        """Have all nodes, the last one with ``mounts`` of its own; one that has such already is started anew."""
        if self.last in self.nodes and (mounts or self._changed):
            self.kill(self.last)
        for node in range(self.last + 1):
            if node not in self.nodes:
                self.start(node, mounts if node == self.last else None)
        self._changed = bool(mounts)

    def run(self, *given: str) -> subprocess.Popen[bytes]:
        """Start ``fasgen run`` on the head's node."""
        command = [sys.executable, "-m", "fasgen", "run", *given]
        return self.inside(0, *command, f"--address={self.address(0)}:{PORT}", told="said")


def _ip(*given: str) -> None:
    subprocess.run(["ip", *given], check=True, capture_output=True)
