"""Runs one benchmark in this process and writes its rows as JSON: ``python -m bench.one NAME FILE``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench.brisque import peer_python
from bench.harness import Row


def find_peers() -> None:
    """Let packages of the peers' environment be imported where this environment has none of that name.

    facenet-pytorch is timed in this very process, with this environment's torch; the other peers run in one of their own.
    """
    python = peer_python()
    if python is not None:
        found = python.parent.parent / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        if found.is_dir():
            sys.path.append(str(found))


def main(name: str, out: str) -> None:
    """Run ``bench.<name>`` and write what it found to ``out``."""
    find_peers()
    rows: list[Row] = import_module(f"bench.{name}").run()
    Path(out).write_text(json.dumps([asdict(row) for row in rows]), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
