"""How long one waits for ``fasgen --help``: a whole process from nothing, beside the least that a click program costs."""

from __future__ import annotations

import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from bench.harness import Row, alternate, median_ratio, table

ROUNDS, LIMIT = 5, 0.4
"""Rounds, and the seconds that ``fasgen --help`` may take."""


def _command() -> list[str]:
    """The console script of this environment, or what it does where the package is not installed."""
    script = Path(sys.executable).with_name("fasgen")
    return (
        [str(script), "--help"] if script.is_file() else [sys.executable, "-c", "from fasgen.cli import main; main()", "--help"]
    )


def _wait(command: list[str]) -> None:
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def run() -> list[Row]:
    """Wall seconds against the limit, and against a process that only imports click."""
    ours, bare = alternate([lambda: _wait(_command()), lambda: _wait([sys.executable, "-c", "import click"])], ROUNDS)
    mine, theirs = statistics.median(ours), statistics.median(bare)
    name = "fasgen --help"
    return [
        Row(name, mine, LIMIT, "the limit", LIMIT / mine, 1.0, "s"),
        Row(name, mine, theirs, f"python -c 'import click', click {version('click')}", median_ratio(ours, bare), None, "s"),
    ]


if __name__ == "__main__":
    print(table(run()))
