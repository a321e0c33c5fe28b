"""``python -m bench [NAME ...]``: all benchmarks, or those named, one after the other; one table, and ``out/bench.json``.

Each runs in a process of its own, so that none meets what another has imported, allocated or broken. A benchmark that fails is
named with its last words, and the others go on. A missed aim is marked and is no failure: what else the machine does decides
as well.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.harness import Row, table

BENCHES = (
    "startup",
    "ingest",
    "frames",
    "packing",
    "cues",
    "reading",
    "brisque",
    "align",
    "defake",
    "synth",
    "simulation",
    "training",
    "engine",
    "scale",
    "units",
)
"""Modules of this package with a ``run()`` that gives rows."""

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 1800
"""Seconds after which a benchmark has failed."""

Result = list[Row] | str
"""The rows of a benchmark, or why there are none."""


def measure(name: str) -> Result:
    """Run ``bench.<name>`` in a process of its own, on one thread."""
    environment = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", **os.environ}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "bench.one", name, str(out)]
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return f"not done after {LIMIT} s"
        if done.returncode or not out.is_file():
            said = [line for line in done.stderr.splitlines() if line.strip()]
            return said[-1].strip() if said else f"ended with code {done.returncode} and without a word"
        return [Row(**row) for row in json.loads(out.read_text("utf-8"))]


def run_all(names: Sequence[str], one: Callable[[str], Result] = measure) -> dict[str, Result]:
    """Run the benchmarks in order and tell on standard error how each went."""
    results: dict[str, Result] = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        began = time.perf_counter()
        results[name] = one(name)
        how = "failed" if isinstance(results[name], str) else "done"
        print(f"{name} {how} after {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    return results


def report(results: Mapping[str, Result]) -> str:
    """The table, then what failed, what had no peer to be measured beside, and how many aims were met."""
    rows = [row for result in results.values() if not isinstance(result, str) for row in result]
    lines = [table(rows)] if rows else []
    lines += [f"{name}: failed: {why}" for name, why in results.items() if isinstance(why, str)]
    aimed = [row for row in rows if row.aim is not None]
    alone = [row for row in aimed if row.ratio is None]
    missed = [row for row in aimed if row.verdict == "missed"]
    lines += [f"{row.name}: missed: {row.ratio:.2f} of {row.aim:.2f} against {row.peer_name}" for row in missed]
    lines += [f"{row.name}: no peer: {row.peer_name}" for row in alone]
    lines.append(
        f"{len(aimed)} aims: {len(aimed) - len(missed) - len(alone)} met, {len(missed)} missed, {len(alone)} without their peer"
    )
    return "\n".join(lines)


def document(results: Mapping[str, Result]) -> dict[str, Any]:
    """What ``out/bench.json`` holds: the machine, the rows by benchmark, and what failed."""
    from fasgen.pipeline.resources import library_versions, machine, processor

    have = machine()
    rows = {name: result for name, result in results.items() if not isinstance(result, str)}
    return {
        "machine": {"processor": processor(), "cores": have.cpus, "gpus": have.gpus, "accelerator": have.accelerator},
        "python": sys.version.split()[0],
        "libraries": dict(library_versions()),
        "rows": {name: [asdict(row) | {"verdict": row.verdict} for row in result] for name, result in rows.items()},
        "failed": {name: result for name, result in results.items() if isinstance(result, str)},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all ran, 1 one or more failed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure fasgen beside its peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which to run: {', '.join(BENCHES)}; all if none is named")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "bench.json", help="where to write the figures")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are: {', '.join(BENCHES)}")
    results = run_all(given.names or BENCHES)
    print(report(results))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(document(results), indent=2) + "\n", "utf-8")
    print(f"figures in {given.out}")
    return int(any(isinstance(result, str) for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
