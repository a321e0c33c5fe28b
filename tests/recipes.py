"""The recipes of ``docs/clusters.md``, run with the systems that they are for, on one machine.

``python -m tests.recipes slurm`` (as root) takes the block out of the document, changes what a machine without a GPU makes
necessary (`Change`: each is printed), and runs it on nodes in network namespaces, on the example portraits. It ends with
the bytes of a run without Ray, or says which are others. It needs Debian's packages in `PACKAGES`.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from tests.cluster import arguments, differences, units, without_ray
from tests.nodes import Nodes
from tests.test_recipes import blocks

LIMIT = 900.0
"""Seconds in which a job has to be over, on two cores that others use as well."""

SETTINGS = ("stage=align,identify,defake", "defake.steps=80")
"""Of the runs: enough work for what happens in the midst of it."""

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "slurm": {"slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client", "munged": "munge", "ip": "iproute2"},
}
"""By recipe: programs, and the package of Debian that has each."""

_SLURM = """
ClusterName=recipes
SlurmctldHost={head}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
NodeName={nodes} CPUs={cores} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES
"""


class Change(NamedTuple):
    """What a recipe says, and what is put there for this machine."""

    said: str
    instead: str


def changed(text: str, changes: list[Change]) -> str:
    """A recipe with its changes; each must have something to change."""
    for one in changes:
        assert one.said in text, f"{one.said!r} is not in the recipe"
        print(f"  changed: {one.said.strip()} -> {one.instead.strip()}", flush=True)
        text = text.replace(one.said, one.instead)
    return text


def until(what: Callable[[], bool], why: Callable[[], str], limit: float = LIMIT) -> None:
    """Wait until something is so, at most so many seconds; ``why``: what is said where it is not."""
    deadline = time.monotonic() + limit
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit(f"not so after {limit:.0f} s:\n{why()[-4000:]}")
        time.sleep(0.5)


class Slurm(Nodes):
    """Slurm on three nodes, with every daemon's files in one folder; the first has the controller."""

    def __enter__(self) -> Self:
        super().__enter__()
        cores = os.cpu_count() or 1
        hosts = "".join(f"{self.address(node)} n{node}\n" for node in range(self.last + 1))
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}", "ascii")
        text = _SLURM.format(head="n0", folder=self.folder, nodes=f"n[0-{self.last}]", cores=cores)
        (self.folder / "slurm.conf").write_text(text, "ascii")
        self.environment["SLURM_CONF"] = str(self.folder / "slurm.conf")
        self.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o600)
        self._munge = subprocess.Popen(
            ["munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={self.folder}/munge.key",
             f"--pid-file={self.folder}/munge.pid", f"--log-file={self.folder}/munge.log",
             f"--seed-file={self.folder}/munge.seed"],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.on(0, "slurmctld", "-D", told="controller")
        for node in range(self.last + 1):
            self.on(node, "slurmd", "-D", "-N", f"n{node}", told=f"daemon-{node}")
        until(lambda: self.asked("sinfo", "--noheader", "--format=%T %D").strip() == f"idle {self.last + 1}", self.said, 60)
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        self._munge.terminate()
        self._munge.wait()

    def on(self, node: int, *command: str, told: str) -> subprocess.Popen[bytes]:
        """Start a command on a node that has a name, the names of the others, and a folder for Ray of its own."""
        short = Path(self.folder, f"ray-{node}")
        short.mkdir(exist_ok=True)
        Path("/tmp/ray").mkdir(exist_ok=True)
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0" && exec "$@"', f"n{node}", *command]
        mounts = {Path("/etc/hosts"): self.folder / "hosts", Path("/tmp/ray"): short}
        return self.inside(node, *named, mounts=mounts, told=told)

    def asked(self, *command: str) -> str:
        """What a command of Slurm says on the first node."""
        self.on(0, *command, told="asked").wait()
        return (self.folder / "asked").read_text("utf-8", "replace")

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job."""
        return dict(re.findall(r"(\w+)=(\S*)", self.asked("scontrol", "show", "job", number)))

    def said(self) -> str:
        """The last words of the daemons."""
        return "\n".join(path.read_text("utf-8", "replace")[-1500:] for path in sorted(self.folder.glob("*.log")))


def finishes(slurm: Slurm, number: str, store: Path) -> str:
    """Nothing happens."""
    return ""


def taken(slurm: Slurm, number: str, store: Path) -> str:
    """The job is requeued from outside, as it is when a node dies or somebody else comes first."""
    until(lambda: units(store) >= 2, slurm.said)
    assert not slurm.asked("scontrol", "requeue", number)
    return f"requeued after {units(store)} units"


def timed(slurm: Slurm, number: str, store: Path) -> str:
    """The time limit comes near, Slurm sends TERM to the batch script, and the script has the job requeued."""
    until(lambda: units(store) >= 2, slurm.said)
    began = units(store)
    # Ten minutes before the limit, which is now.
    minutes = int(slurm.job(number)["RunTime"].split(":")[1]) + 10
    assert not slurm.asked("scontrol", "update", f"JobId={number}", f"TimeLimit={minutes}")
    until(lambda: slurm.job(number)["Restarts"] == "1", slurm.said)
    # The limit counts from each start.
    assert not slurm.asked("scontrol", "update", f"JobId={number}", "TimeLimit=60")
    return f"limit of {minutes} minutes set after {began} units, requeued after {units(store)}"


CASES: tuple[Callable[[Slurm, str, Path], str], ...] = (finishes, taken, timed)


def slurm(folder: Path, settings: tuple[str, ...]) -> None:
    """The sbatch recipe: a job that finishes, one that is requeued, one that comes to its time limit."""
    (text,) = blocks("sh", "#SBATCH")
    wanted = without_ray(folder, settings)
    home = folder / "home"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("0123456789abcdef0123456789abcdef", "ascii")
    (home / ".ray" / "auth_token").chmod(0o600)
    with Slurm(folder) as cluster:
        cluster.environment["HOME"] = str(home)
        print(cluster.asked("sbatch", "--version").strip(), flush=True)
        for case in CASES:
            store, began = folder / case.__name__ / "store", time.monotonic()
            script = changed(
                text,
                [
                    Change("--nodes=4", "--nodes=3"),
                    Change("--nodes=3 --ntasks=3", "--nodes=2 --ntasks=2"),
                    Change("--gpus-per-node=8 ", ""),
                    Change("--cpus-per-task=64", f"--cpus-per-task={os.cpu_count()}"),
                    Change("--num-gpus 8", "--num-gpus 0"),
                    Change("fasgen run", f"fasgen run {shlex.join(arguments(store, settings))}"),
                ],
            )
            batch = folder / f"{case.__name__}.sh"
            batch.write_text(script, "utf-8")
            told = folder / f"{case.__name__}.out"
            number = cluster.asked("sbatch", "--parsable", f"--output={told}", str(batch)).strip()
            happened = case(cluster, number, store)

            def state(number: str = number) -> str:
                return cluster.job(number)["JobState"]

            until(lambda: state() in {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}, cluster.said)
            job = cluster.job(number)
            said = told.read_text("utf-8", "replace")
            assert (job["JobState"], job["ExitCode"]) == ("COMPLETED", "0:0"), f"{job}\n{said[-4000:]}"
            assert int(job["Restarts"]) == (case is not finishes), job
            different = differences(wanted, store)
            assert not different, f"{case.__name__}: {len(different)} files differ: {different[:5]}\n{said[-3000:]}"
            print(f"{case.__name__}: identical, {time.monotonic() - began:.0f} s; {happened}", flush=True)


RECIPES: Mapping[str, Callable[[Path, tuple[str, ...]], None]] = {one.__name__: one for one in (slurm,)}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("settings", nargs="*", help="settings of the runs, KEY=VALUE or stage=NAME")
    given = parser.parse_args()
    name = given.recipe
    if os.geteuid():
        raise SystemExit(f"{name}: needs root, for namespaces and daemons")
    if missing := sorted({package for program, package in PACKAGES[name].items() if not shutil.which(program)}):
        raise SystemExit(f"{name}: needs what is not here: apt-get install --no-install-recommends {' '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="fg") as folder:
        RECIPES[name](Path(folder), tuple(given.settings) or SETTINGS)


if __name__ == "__main__":
    main()
