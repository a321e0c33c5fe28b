"""The long form of the crash test: one run on real faces, killed again and again, that ends byte-identical.

``python -m tests.soak --kills 40`` runs the example portraits (or ``--source``) once undisturbed. Then it runs them into
another store and, at random moments, kills the driver, a worker or Ray's node process, until there were as many kills as asked
for; starts the same command again each time the driver is gone; and compares every byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fasgen.audit.verify import verify
from fasgen.manifests.unit import committed_units, unit_summary

PORTRAITS = Path(__file__).parent.parent / "examples" / "portraits"
QUICK = (
    "unit_rows=1",
    "defake.steps=5",
    "defake.batch=1",
    "identify.batch=1",
    "score.batch=1",
    "synth.variants=2",
    "synth.steps=4",
    "synth.batch=1",
)
KINDS = ("driver", "worker", "node")


def content(store: Path) -> dict[str, str]:
    """Digest of every file but the history, the timings, and what says when a generation became current."""
    return {
        path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file()
        and path.relative_to(store).parts[0] != "runs"
        and ".timing." not in path.name
        and path.name not in {"current.json", "believed.json"}
    }


def start(source: Path, store: Path, settings: tuple[str, ...], told: Path) -> subprocess.Popen[bytes]:
    """The command; what it says goes into the file ``told``, since a pipe that nobody empties would stop it."""
    # Spoofs are made of live faces: what has no label has none.
    faces = json.dumps([{"name": "faces", "path": str(source), "label": "live"}])
    command = [sys.executable, "-m", "fasgen", "run", f"sources={faces}", *QUICK, *settings, "--store", str(store)]
    with told.open("wb") as out:
        return subprocess.Popen([*command, "--gpus", "0", "--cpus", "2"], stdout=out, stderr=out, start_new_session=True)


def family(leader: int) -> dict[int, str]:
    """All that descend from a process, with the command of each."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except (OSError, IndexError, ValueError):
            continue
    found, open_ = {leader}, [leader]
    while open_:
        parent = open_.pop()
        children = [child for child, each in parents.items() if each == parent and child not in found]
        found.update(children)
        open_ += children
    return {process: commands.get(process, "") for process in found}


def victim(kind: str, leader: int) -> int | None:
    """A process of that kind, if there is one now."""
    if kind == "driver":
        return leader
    wanted = {"worker": "ray::", "node": "raylet/raylet"}[kind]
    return next((process for process, command in sorted(family(leader).items()) if wanted in command), None)


def sweep(known: set[int]) -> None:
    """End what a killed driver left of its own Ray, by the numbers that were seen below it."""
    for process in known:
        try:
            command = (Path("/proc") / str(process) / "cmdline").read_bytes()
            if b"ray" in command:
                os.kill(process, signal.SIGKILL)
        except OSError:
            continue


def unmake(store: Path) -> None:
    """Where a run has finished before all kills were done: the half that was made last is to be made once more."""
    last = sorted(store.glob("*-????????/?????.parquet"), key=lambda path: path.stat().st_mtime_ns)
    for path in last[-max(1, len(last) // 2) :]:
        path.unlink()


def spoofs(store: Path) -> int:
    """Spoofs that a store holds.

    Raises:
        SystemExit: there are none: the stages with a roster would go untested.
    """
    found = sum(unit_summary(made, unit).ok for made in store.glob("synth-*") for unit in committed_units(made))
    if not found:
        raise SystemExit("the undisturbed run made no spoofs: the stages with a roster would go untested")
    return found


def soak(source: Path, folder: Path, kills: int, seed: int, settings: tuple[str, ...]) -> Counter[str]:
    """Kill until there were ``kills``, finish, compare; how many of each kind."""
    began = time.perf_counter()
    told = folder / "told"
    undisturbed = start(source, folder / "reference", settings, told)
    if undisturbed.wait():
        said = told.read_text("utf-8", "replace")[-2000:]
        raise SystemExit(f"the undisturbed run ended with code {undisturbed.returncode}: {said}")
    alone = time.perf_counter() - began
    made = 0 if "synth.variants=0" in settings else spoofs(folder / "reference")
    print(f"undisturbed: {alone:.0f} s, {len(content(folder / 'reference'))} files, {made} spoofs", flush=True)
    draw, tally, starts, store = random.Random(seed), Counter[str](), 0, folder / "disturbed"
    process: subprocess.Popen[bytes] | None = None
    known: set[int] = set()
    while True:
        if process is None:
            process, starts = start(source, store, settings, told), starts + 1
        done = sum(tally.values()) >= kills
        deadline = time.monotonic() + draw.uniform(1.0, max(2.0, alone / 4))
        while process.poll() is None and (done or time.monotonic() < deadline):
            known |= set(family(process.pid))
            time.sleep(0.2)
        if process.poll() is None:
            kind = draw.choice(KINDS)
            found = victim(kind, process.pid)
            if found is not None:
                os.kill(found, signal.SIGKILL)
                tally[kind] += 1
                time.sleep(0.5)
            if process.poll() is None:
                continue
        code = process.wait()
        said = told.read_text("utf-8", "replace")
        sweep(known - {os.getpid()})
        known.clear()
        if "Traceback" in said and code != -signal.SIGKILL:
            raise SystemExit(f"a traceback was shown: {said[-3000:]}")
        process = None
        if code == 0 and done:
            break
        if code == 0:
            unmake(store)
    print(f"{sum(tally.values())} kills ({', '.join(f'{n} {kind}' for kind, n in tally.items())}), {starts} starts", flush=True)
    reference, disturbed = content(folder / "reference"), content(store)
    different = sorted(name for name in reference.keys() | disturbed.keys() if reference.get(name) != disturbed.get(name))
    findings = verify(store)
    if different or findings:
        raise SystemExit(f"NOT identical: {different[:10]}; verify: {findings[:5]}")
    print(
        f"identical: {len(reference)} files; verify has nothing to say; {time.perf_counter() - began:.0f} s in all", flush=True
    )
    return tally


def main() -> None:
    """Run it and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--source", type=Path, default=PORTRAITS)
    parser.add_argument("settings", nargs="*", help="settings of the run, as for fasgen run")
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fasgen-soak-") as folder:
        soak(options.source, Path(folder), options.kills, options.seed, tuple(options.settings))


if __name__ == "__main__":
    main()
