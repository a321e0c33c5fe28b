"""A Ray cluster of three nodes on one machine, in network namespaces, and what can happen to one.

``python -m tests.cluster`` (as root; ``make cluster``) makes a bridge and three namespaces, each with an address and mounts of
its own, starts Ray in them and runs the example portraits: once without Ray, and then in each of `CASES`. Every case has to end
as ``docs/clusters.md`` says, within `LIMIT` seconds, with the bytes of the run without Ray. ``--only NAME`` runs some.

``--kills N`` kills nodes, workers and drivers of runs on one store instead, at moments that ``--seed`` draws: nodes come back,
the command is given again. It ends byte-identical to the run without Ray.

``--units N ...`` says instead what the driver spends on so many units of a stage that does nearly nothing, in processor time,
which others on the machine change little, and in memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "pipeline"))

import toy

from fasgen.audit.verify import verify
from fasgen.manifests.ledger import read_ledger
from tests.nodes import PORT, ROOT, Cluster
from tests.soak import KINDS, PORTRAITS, QUICK, content, spoofs, unmake

LIMIT = 300.0
"""Seconds in which a case has to be over, on two cores that others use as well."""

PAUSE = (1.0, 12.0)
"""Seconds between two kills, at least and at most."""

QUIET = 900.0
"""Seconds from one kill to the next, or from the last to the end, at most."""

HEADS = 0.1
"""Share of the head among the nodes that are killed."""

_HOLDER = """
import sys, time, ray
from pathlib import Path
ray.init(address=sys.argv[1], log_to_driver=False)

@ray.remote(num_cpus=1)
class Holder:
    def ready(self):
        return True

holders = [Holder.remote() for _ in range(3)]
ray.get([one.ready.remote() for one in holders])
Path(sys.argv[2], "held").touch()
while not Path(sys.argv[2], "free").exists():
    time.sleep(0.2)
"""
"""Another job, that holds every core of the cluster until it is told to go."""

_MANY = """
import json, resource, sys, time
from pathlib import Path
import toy
from fasgen.manifests.ledger import Ledger, read_ledger
from fasgen.pipeline.plan import build_plan
from fasgen.pipeline.progress import Silent
from fasgen.pipeline.ray_engine import RayEngine
from fasgen.pipeline.resources import Resources
from fasgen.pipeline.run import run
from fasgen.sources.config import Limits, SourceConfig

store, faces, address, path = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4]
source = SourceConfig(name="toys", path=faces, label="live", limits=Limits(min_side=4))
resources = Resources(0, 3, address=address)
began = time.perf_counter(), time.process_time()
made = build_plan(toy.configure(source, unit_rows=1), ["shrink"], store, resources=resources, targets=toy.TARGETS)
planned = time.perf_counter(), time.process_time()
with Ledger(store, "many") as ledger:
    result = run(made, lambda: RayEngine(resources, environment={"PYTHONPATH": path}), Silent(), ledger)
ended = time.perf_counter(), time.process_time()
nodes = {one["node"] for one in read_ledger(ledger.folder) if one["event"] == "joined"}
print(json.dumps({
    "outcome": result.outcome, "units": result.units, "nodes": len(nodes),
    "plan_cpu_ms": 1000 * (planned[1] - began[1]) / result.units, "run_cpu_ms": 1000 * (ended[1] - planned[1]) / result.units,
    "wall_ms": 1000 * (ended[0] - planned[0]) / result.units, "peak_mb": result.peak_driver / 1e6,
}))
"""
"""A run of a toy stage, and what its driver spent."""


def arguments(store: Path, settings: tuple[str, ...]) -> list[str]:
    """What the command is given, whatever its engine."""
    faces = json.dumps([{"name": "faces", "path": str(PORTRAITS), "label": "live"}])
    return [f"sources={faces}", *QUICK, *settings, "--store", str(store), "--gpus", "0"]


def units(store: Path) -> int:
    """Units that are committed."""
    return len(list(store.glob("*-????????/?????.parquet")))


def events(store: Path, kind: str) -> list[dict[str, object]]:
    """Events of the last run of a store."""
    ledger = max((store / "runs").glob("*/ledger.jsonl"))
    return [event for line in ledger.read_text("utf-8").splitlines() if (event := json.loads(line))["event"] == kind]


def differences(wanted: Mapping[str, str], store: Path) -> list[str]:
    """Files of a store that are others than wanted."""
    found = content(store)
    return sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))


class Case:
    """One case in progress: a store of its own, and what is said of it.

    Args:
        cluster: the nodes.
        store: where to write.
        settings: of the run.
    """

    def __init__(self, cluster: Cluster, store: Path, settings: tuple[str, ...]) -> None:
        self.cluster, self.store, self._settings = cluster, store, settings
        self._until = time.monotonic() + LIMIT
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def said(self) -> str:
        """What the run has said so far."""
        return (self.cluster.folder / "said").read_text("utf-8", "replace")

    def run(self, *options: str) -> None:
        """Start the command; nobody waits for it."""
        self._process = self.cluster.run(*arguments(self.store, self._settings), *options)

    def until(self, what: Callable[[], bool]) -> None:
        """Wait until something is so; the run may not be over before."""
        while not what():
            self._look()
            assert self.process.poll() is None, f"it is over too early:\n{self.said[-3000:]}"

    def made(self, count: int) -> None:
        """Wait until so many units more are committed than now."""
        before = units(self.store)
        self.until(lambda: units(self.store) >= before + count)

    def over(self, code: int = 0) -> None:
        """Wait until the run has ended, with that exit code."""
        while self.process.poll() is None:
            self._look()
        assert self.process.returncode == code, f"code {self.process.returncode}:\n{self.said[-3000:]}"

    def on(self, node: int, kind: str = "joined") -> list[dict[str, object]]:
        """Events of workers on a node in the last run."""
        return [event for event in events(self.store, kind) if f"({self.cluster.address(node)})" in str(event["node"])]

    def dismissed(self, node: int, why: str) -> None:
        """The others have made everything, and the run has said why nobody on that node was used."""
        told = [line for line in self.said.splitlines() if "is dismissed" in line]
        assert len(told) == 1 and why in told[0] and self.cluster.address(node) in told[0], self.said[-3000:]
        assert not self.on(node)
        print(f"  {told[0]}", flush=True)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The run's."""
        assert self._process is not None
        return self._process

    def driver(self) -> int:
        """The process of the command itself, behind those that led into the namespace."""
        (found,) = self.cluster.pids(0, str(self.store))
        return found

    def _look(self) -> None:
        assert time.monotonic() < self._until, f"not over after {LIMIT:.0f} s:\n{self.said[-3000:]}"
        time.sleep(0.1)


def undisturbed(case: Case) -> None:
    """Nothing happens."""
    case.cluster.up()
    case.run()
    case.over()
    assert all(case.on(node) for node in range(3)), "every node has a worker"


def killed(case: Case) -> None:
    """A node dies in the middle."""
    case.cluster.up()
    case.run()
    case.made(2)
    case.cluster.kill(2)
    case.over()


def joined(case: Case) -> None:
    """A node joins in the middle, and is used. One alone has work enough for the other to come up in time."""
    case.cluster.up()
    for node in (1, 2):
        case.cluster.kill(node)
    case.run()
    case.made(1)
    case.cluster.start(2)
    case.over()
    late = {event["worker"] for event in case.on(2)}
    assert late, "no worker on the node that joined"
    print(f"  units that it made: {sum(event['worker'] in late for event in events(case.store, 'unit'))}", flush=True)


def preempted(case: Case) -> None:
    """One node after another is taken and replaced."""
    case.cluster.up()
    case.run()
    for node in (1, 2, 1):
        case.made(2)
        case.cluster.kill(node)
        case.cluster.start(node)
    case.over()
    print(f"  workers that came: {len(events(case.store, 'joined'))}, that died: {len(events(case.store, 'died'))}", flush=True)


def diskless(case: Case) -> None:
    """A node does not see the store's disk."""
    nothing = case.cluster.folder / "nothing"
    nothing.mkdir()
    case.store.parent.mkdir(exist_ok=True)
    case.cluster.up({case.store.parent: nothing})
    case.run("--cpus", "3")
    case.over()
    case.dismissed(case.cluster.last, "does not see the store")


def hanging(case: Case) -> None:
    """A node waits for its disk for ever: for a file of weights, in whose place lies a pipe into which nobody writes."""
    pipe = case.cluster.folder / "pipe"
    os.mkfifo(pipe)
    case.cluster.up({ROOT / "fasgen" / "weights" / "identity" / "model.safetensors": pipe})
    case.run()
    case.over()
    assert not case.on(2), "who waits for a disk has no work"


def older(case: Case) -> None:
    """A node has another version of fasgen."""
    other = case.cluster.folder / "other"
    shutil.copytree(ROOT / "fasgen", other, ignore=shutil.ignore_patterns("__pycache__"))
    text = (other / "__init__.py").read_text("utf-8")
    (other / "__init__.py").write_text(text.replace('__version__ = "', '__version__ = "0.0.'), "utf-8")
    case.cluster.up({ROOT / "fasgen": other})
    case.run()
    case.over()
    case.dismissed(2, "has fasgen 0.0.")


def bare(case: Case) -> None:
    """A node has no fasgen."""
    none = case.cluster.folder / "none"
    none.mkdir()
    # In a checkout that is not the installed one, the installed one would be found behind an empty folder.
    (none / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'fasgen'\", name='fasgen')\n", "ascii")
    case.cluster.up({ROOT / "fasgen": none})
    case.run()
    case.over()
    case.dismissed(2, "does not start")


def crowded(case: Case) -> None:
    """Another job holds every core, and goes at last."""
    case.cluster.up()
    folder = case.cluster.folder
    address = f"{case.cluster.address(0)}:{PORT}"
    holder = case.cluster.inside(0, sys.executable, "-c", _HOLDER, address, str(folder), told="holder")
    while not (folder / "held").exists():
        assert holder.poll() is None, (folder / "holder").read_text("utf-8", "replace")[-2000:]
        time.sleep(0.1)
    case.run()
    case.until(lambda: "waiting for 0:10" in case.said)
    assert "they are starting, or others use it" in case.said, case.said
    (folder / "free").touch()
    case.over()
    holder.wait()


def ended(case: Case) -> None:
    """The driver gets one TERM, then two, is killed, and the same command goes on each time."""
    case.cluster.up()
    case.run()
    case.made(1)
    os.kill(case.driver(), signal.SIGTERM)
    case.over(130)
    assert "finishing the units in hand" in case.said
    case.run()
    case.made(1)
    began = time.monotonic()
    os.kill(case.driver(), signal.SIGTERM)
    case.until(lambda: "finishing the units in hand" in case.said)
    os.kill(case.driver(), signal.SIGTERM)
    case.over(130)
    print(f"  after the second TERM: {time.monotonic() - began:.1f} s", flush=True)
    case.run()
    case.made(1)
    os.kill(case.driver(), signal.SIGKILL)
    case.over(-signal.SIGKILL)
    case.run()
    case.over()


CASES: Mapping[str, Callable[[Case], None]] = {
    one.__name__: one for one in (undisturbed, killed, joined, preempted, diskless, hanging, older, bare, crowded, ended)
}


def without_ray(folder: Path, settings: tuple[str, ...]) -> dict[str, str]:
    """The run without Ray, into a store ``reference``, and its content."""
    began, store = time.monotonic(), folder / "reference"
    command = [sys.executable, "-m", "fasgen", "run", *arguments(store, settings), "--engine", "local"]
    subprocess.run([*command, "--cpus", "1"], capture_output=True, cwd=ROOT, check=True)
    print(f"without Ray: {units(store)} units, {time.monotonic() - began:.0f} s", flush=True)
    return content(store)


def check(folder: Path, settings: tuple[str, ...], names: list[str]) -> None:
    """The run without Ray, and the cases of these names."""
    wanted = without_ray(folder, settings)
    with Cluster(folder) as cluster:
        for name in names:
            began = time.monotonic()
            store = folder / name / "store"
            case = Case(cluster, store, settings)
            CASES[name](case)
            different = differences(wanted, store)
            assert not different, f"{name}: {len(different)} files differ: {different[:5]}"
            print(f"{name}: as it should be, {time.monotonic() - began:.0f} s with the nodes' start", flush=True)


def strike(cluster: Cluster, run: subprocess.Popen[bytes], draw: random.Random) -> str:
    """Kill a node, a worker or the driver; of which kind it was, or nothing where no worker is there."""
    kind = draw.choice(KINDS)
    if kind == "driver":
        run.kill()
    elif kind == "worker":
        found = [process for node in cluster.nodes for process in cluster.pids(node, "ray::_Actor")]
        if not found:
            return ""
        with suppress(OSError):
            os.kill(draw.choice(found), signal.SIGKILL)
    elif draw.random() < HEADS:
        # Nothing of a cluster is left without its head; the driver is there as well.
        kind = "head"
        for node in sorted(cluster.nodes):
            cluster.kill(node)
    else:
        cluster.kill(draw.randint(1, cluster.last))
    return kind


def soak(cluster: Cluster, wanted: Mapping[str, str], settings: tuple[str, ...], kills: int, seed: int) -> Counter[str]:
    """Kill at random until there were so many kills, finish, and compare every byte; how many there were of each kind."""
    folder, store, began = cluster.folder, cluster.folder / "disturbed" / "store", time.monotonic()
    print(f"{len(wanted)} files; kills by seed {seed}", flush=True)
    draw, tally, said, starts, code = random.Random(seed), Counter[str](), "", 0, -1
    while tally.total() < kills or code:
        cluster.up()
        run, starts = cluster.run(*arguments(store, settings)), starts + 1
        until = time.monotonic() + QUIET
        while (code := run.poll()) is None:
            assert time.monotonic() < until, f"not over after {QUIET:.0f} s:\n{said[-3000:]}"
            if tally.total() < kills:
                with suppress(subprocess.TimeoutExpired):
                    run.wait(draw.uniform(*PAUSE))
                    continue
                if kind := strike(cluster, run, draw):
                    tally[kind] += 1
                    until = time.monotonic() + QUIET
            for node in range(1, cluster.last + 1):
                if node in cluster.nodes and cluster.nodes[node].poll() is not None:
                    cluster.kill(node)
                # What was killed comes back, and joins in its own time; or with the head, before the next run.
                if node not in cluster.nodes and 0 in cluster.nodes:
                    cluster.launch(node)
            time.sleep(0.1)
        said = (folder / "said").read_text("utf-8", "replace")
        assert code in {0, -signal.SIGKILL} and "Traceback" not in said, f"code {code}:\n{said[-3000:]}"
        if not code and tally.total() < kills:
            unmake(store)
        told = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.items()))
        print(f"{time.monotonic() - began:5.0f} s: start {starts} ended with {code}; kills: {told}", flush=True)
    different, findings = differences(wanted, store), verify(store)
    assert not different and not findings, f"{len(different)} files differ: {different[:5]}; verify: {findings[:5]}"
    digest = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
    ledgers = (event for path in (store / "runs").glob("*/ledger.jsonl") for event in read_ledger(path.parent))
    again = sum(len(event["units"]) for event in ledgers if event["event"] == "died")
    print(f"{tally.total()} kills, {starts} starts; {again} units given out again for a worker that died", flush=True)
    print(f"identical: {len(wanted)} files, {digest}; verify has nothing to say; {time.monotonic() - began:.0f} s", flush=True)
    return tally


def many(folder: Path, counts: list[int]) -> None:
    """Say what the driver spends on so many units, one picture each, on three nodes."""
    toy.make_source(folder / "one", 1)
    data = (folder / "one" / "000.png").read_bytes()
    with Cluster(folder) as cluster:
        cluster.up()
        path = f"{ROOT}:{ROOT / 'tests' / 'pipeline'}"
        for count in counts:
            faces, store = folder / f"faces-{count}", folder / f"store-{count}"
            faces.mkdir()
            for number in range(count):
                (faces / f"{number:06d}.png").write_bytes(data)
            command = [sys.executable, "-c", _MANY, str(store), str(faces), f"{cluster.address(0)}:{PORT}", path]
            cluster.inside(0, "env", f"PYTHONPATH={path}", *command, told="said").wait()
            print((folder / "said").read_text("utf-8", "replace").strip()[-2000:], flush=True)
            shutil.rmtree(faces)
            shutil.rmtree(store, ignore_errors=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES, action="append", help="the cases to run; all of them if none is named")
    parser.add_argument("settings", nargs="*", help="settings of the run, KEY=VALUE or stage=NAME")
    parser.add_argument("--kills", type=int, help="kill nodes, workers and drivers so many times instead")
    parser.add_argument("--seed", type=int, default=0, help="of those kills")
    parser.add_argument("--units", type=int, nargs="+", help="measure what the driver spends on so many units instead")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.units:
            many(Path(folder), given.units)
        elif given.kills:
            wanted = without_ray(Path(folder), tuple(given.settings))
            print(f"{spoofs(Path(folder) / 'reference')} spoofs", flush=True)
            with Cluster(Path(folder)) as cluster:
                soak(cluster, wanted, tuple(given.settings), given.kills, given.seed)
        else:
            check(Path(folder), tuple(given.settings), given.only or list(CASES))


if __name__ == "__main__":
    main()
