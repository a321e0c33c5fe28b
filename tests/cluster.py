"""A Ray cluster of three nodes on one machine, in network namespaces: joined, left, killed, and without the store.

``python -m tests.cluster`` (as root; ``make cluster``) makes a bridge and three namespaces, each with an address and mounts of
its own, starts Ray in them and runs the example portraits:

1. undisturbed, with the bytes of a run without Ray;
2. where one node does not see the store: it is dismissed by name, the others make everything;
3. where one node is killed in the middle;
4. where a node joins in the middle, and is used.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.soak import PORTRAITS, QUICK, content, family

ROOT = Path(__file__).parent.parent
PORT = 6379


class Cluster:
    """Three namespaces on a bridge; the first has the head and the driver.

    Args:
        folder: for Ray's files and what is said.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._mark = folder, f"fg{os.getpid() % 100000}"
        # Ray's sockets have short names only.
        self._short = Path(tempfile.mkdtemp(prefix="fg", dir="/tmp"))
        self.nodes: dict[int, subprocess.Popen[bytes]] = {}
        self._environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
            # A node that is gone is noticed in seconds.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "3",
        }

    def address(self, node: int) -> str:
        """The address of a node."""
        return f"10.213.{os.getpid() % 250}.{node + 1}"

    def __enter__(self) -> Cluster:
        _ip("link", "add", self._mark, "type", "bridge")
        _ip("link", "set", self._mark, "up")
        for node in range(3):
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
        for node in list(self.nodes):
            self.kill(node)
        for node in range(3):
            with suppress(subprocess.CalledProcessError):
                _ip("netns", "del", f"{self._mark}n{node}")
        with suppress(subprocess.CalledProcessError):
            _ip("link", "del", self._mark)
        shutil.rmtree(self._short, ignore_errors=True)

    def inside(self, node: int, *command: str, hide: Path | None = None, told: str) -> subprocess.Popen[bytes]:
        """Start a command on a node; ``hide``: a folder in whose place an empty one is mounted for it."""
        prefix = ["ip", "netns", "exec", f"{self._mark}n{node}"]
        if hide:
            prefix += ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', str(hide)]
        with (self.folder / told).open("wb") as out:
            return subprocess.Popen(
                [*prefix, *command], stdout=out, stderr=out, env=self._environment, start_new_session=True, cwd=ROOT
            )

    def start(self, node: int, *, hide: Path | None = None, cpus: int = 1) -> None:
        """Start Ray on a node, which must come up."""
        where = ["--head", f"--port={PORT}"] if node == 0 else [f"--address={self.address(0)}:{PORT}"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", *where, f"--node-ip-address={self.address(node)}"]
        ray += [f"--num-cpus={cpus}", "--num-gpus=0", "--object-store-memory=80000000", "--block"]
        ray += ["--include-dashboard=false", f"--temp-dir={self._short}/{node}"] if node == 0 else []
        told = f"node-{node}-{time.monotonic_ns()}"
        self.nodes[node] = self.inside(node, *ray, hide=hide, told=told)
        deadline = time.monotonic() + 180
        while "Ray runtime started" not in (self.folder / told).read_text("utf-8", "replace"):
            if self.nodes[node].poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"node {node} does not come up: {(self.folder / told).read_text('utf-8', 'replace')[-2000:]}")
            time.sleep(0.2)

    def kill(self, node: int) -> None:
        """End all that runs on a node, at once."""
        process = self.nodes.pop(node)
        for one in family(process.pid):
            with suppress(OSError):
                os.kill(one, signal.SIGKILL)
        process.wait()
        told = subprocess.run(["ip", "netns", "pids", f"{self._mark}n{node}"], capture_output=True, text=True, check=False)
        for one in told.stdout.split():
            with suppress(OSError):
                os.kill(int(one), signal.SIGKILL)

    def run(self, store: Path, settings: tuple[str, ...], *options: str, told: str) -> subprocess.Popen[bytes]:
        """Start the command on the head's node."""
        command = [sys.executable, "-m", "fasgen", "run", *arguments(store, settings), *options]
        return self.inside(0, *command, f"--address={self.address(0)}:{PORT}", told=told)


def _ip(*given: str) -> None:
    subprocess.run(["ip", *given], check=True, capture_output=True)


def arguments(store: Path, settings: tuple[str, ...]) -> list[str]:
    """What the command is given, whatever its engine."""
    faces = json.dumps([{"name": "faces", "path": str(PORTRAITS), "label": "live"}])
    return [f"sources={faces}", *QUICK, *settings, "--store", str(store), "--gpus", "0"]


def waited(process: subprocess.Popen[bytes], said: Path, what: Callable[[], bool] | None = None) -> str:
    """Wait until a run is over, or until ``what``; what it has said."""
    while process.poll() is None and not (what and what()):
        time.sleep(0.2)
    if process.poll():
        raise SystemExit(f"code {process.returncode}: {said.read_text('utf-8', 'replace')[-3000:]}")
    return said.read_text("utf-8", "replace")


def events(store: Path, kind: str) -> list[dict[str, object]]:
    """Events of the last run of a store."""
    ledger = max((store / "runs").glob("*/ledger.jsonl"))
    return [event for line in ledger.read_text("utf-8").splitlines() if (event := json.loads(line))["event"] == kind]


@contextmanager
def step(name: str) -> Iterator[None]:
    """Say what is done and how long it took."""
    began = time.monotonic()
    yield
    print(f"{name}: as it should be, {time.monotonic() - began:.0f} s", flush=True)


def check(folder: Path, settings: tuple[str, ...]) -> None:
    """The four runs."""
    said = folder / "said"
    with step("without Ray"), said.open("wb") as out:
        command = [sys.executable, "-m", "fasgen", "run", *arguments(folder / "reference", settings), "--engine", "local"]
        local = subprocess.Popen([*command, "--cpus", "1"], stdout=out, stderr=out, cwd=ROOT)
        waited(local, said)
    wanted = content(folder / "reference")

    def same(store: Path) -> None:
        found = content(store)
        different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        # When a generation became current is a moment.
        different = [name for name in different if name not in {"current.json", "believed.json"}]
        if different:
            raise SystemExit(f"{store}: {len(different)} files differ: {different[:5]}")

    with Cluster(folder) as cluster:
        for node in range(3):
            cluster.start(node)
        with step("three nodes"):
            store = folder / "undisturbed"
            waited(cluster.run(store, settings, told="said"), said)
            same(store)
            assert len({event["node"] for event in events(store, "joined")}) == 3, "every node has a worker"
        with step("a node that is killed"):
            store = folder / "killed"
            process = cluster.run(store, settings, told="said")
            waited(process, said, lambda: len(list(store.glob("*-????????/?????.parquet"))) >= 2)
            cluster.kill(2)
            waited(process, said)
            same(store)
        with step("a node that joins"):
            # One node alone has work enough for the other to come up in time.
            cluster.kill(1)
            store = folder / "joined"
            process = cluster.run(store, settings, told="said")
            waited(process, said, lambda: bool(list(store.glob("*-????????/?????.parquet"))))
            cluster.start(2)
            waited(process, said)
            same(store)
            address = cluster.address(2)
            late = {event["worker"] for event in events(store, "joined") if address in str(event["node"])}
            assert late, f"no worker on {address}"
            print(f"  units that it made: {sum(event['worker'] in late for event in events(store, 'unit'))}", flush=True)
        cluster.start(1)
        cluster.kill(2)
        with step("a node without the store"):
            store = folder / "disk" / "store"
            store.parent.mkdir()
            cluster.start(2, hide=store.parent)
            text = waited(cluster.run(store, settings, "--cpus", "3", told="said"), said)
            same(store)
            assert "is dismissed: it does not see the store" in text, text[-2000:]
            print("  " + next(line for line in text.splitlines() if "is dismissed" in line), flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", help="settings of the run, KEY=VALUE or stage=NAME")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check(Path(folder), tuple(given.settings))


if __name__ == "__main__":
    main()
