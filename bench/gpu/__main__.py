"""``python -m bench.gpu``: all cases, or those of some parts; figures as they come, a table, and ``out/gpu.json``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gpu.cases import ABREAST, cases, networks, parts
from bench.gpu.conduct import ROOT, conduct
from bench.gpu.report import derived, table

LIMIT = 290.0
"""Seconds for everything."""


def say_from(began: float) -> Any:
    """Prints figures as one JSON object a line, with the seconds since ``began``."""

    def say(**figures: Any) -> None:
        print(json.dumps({"at": round(time.monotonic() - began, 1), **figures}), flush=True)

    return say


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all ran, 1 one or more failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="Measure fasgen on one GPU.")
    parser.add_argument("--parts", default="", help=f"some of {','.join(parts())}; all if left out")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for everything; what is left then is left out")
    parser.add_argument("--preparing", type=float, default=170.0, help="seconds for what loads and compiles side by side")
    parser.add_argument("--abreast", type=int, help=f"cases that prepare at once; {ABREAST}, one of the small")
    parser.add_argument("--small", action="store_true", help="tiny networks, for a CPU")
    parser.add_argument("--eager", action="store_true", help="leave out what is compiled")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "gpu.json", help="where to write the figures")
    given = parser.parse_args(arguments)
    wanted = given.parts.split(",") if given.parts else parts()
    unknown = [part for part in wanted if part not in parts()]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are: {', '.join(parts())}")
    chosen = [case for case in cases(small=given.small, eager=given.eager) if case.part in wanted]
    began = time.monotonic()
    say = say_from(began)
    with tempfile.TemporaryDirectory() as name:
        cache = Path(name) / "compiled"
        for variable, part in (("TORCHINDUCTOR_CACHE_DIR", "inductor"), ("TRITON_CACHE_DIR", "triton")):
            # Those who look for compiled code find what this call has compiled, and nothing older.
            os.environ[variable] = str(cache / part)
        common = {"folder": name, "small": given.small}
        found = conduct([networks()], common, say, abreast=1, preparing=given.preparing, limit=given.limit)
        left = given.limit - (time.monotonic() - began)
        if "failed" not in found["networks"]:
            abreast = given.abreast or (1 if given.small else ABREAST)
            found |= conduct(chosen, common, say, abreast=abreast, preparing=given.preparing, limit=left)
    figures = derived(chosen, found)
    print(table(chosen, figures))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    settings = {case.name: case.settings for case in chosen}
    given.out.write_text(json.dumps({"settings": settings, "figures": figures}, indent=2) + "\n", "utf-8")
    print(f"figures in {given.out}, after {time.monotonic() - began:.0f} s")
    return int(any("failed" in one for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())
