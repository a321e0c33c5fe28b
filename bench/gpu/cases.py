"""Which cases there are, in the order in which they measure: the most wanted first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.gpu.conduct import Case

MAIN = 64
"""Batch at which parts, profiles and ways from store to store are measured."""
BATCHES = (32, 64, 128)
ABREAST = 7
"""Cases that load and compile at once on a GPU: as many as sixteen cores compile in a minute and a half, the most wanted."""


def networks() -> Case:
    """What must run before all others."""
    return Case("networks", "networks", "bench.gpu.networks:networks")


def cases(*, small: bool, eager: bool) -> list[Case]:
    """All others.

    Args:
        small: tiny networks, for a CPU.
        eager: leave out what is compiled.
    """
    return [case for case in _all(small) if not (eager and case.settings.get("compile") == "on")]


def _all(small: bool) -> Iterator[Case]:
    main = 2 if small else MAIN
    batches = (main,) if small else BATCHES
    once, often = {"rounds": 1}, {"rounds": 1 if small else 3}

    def defake(name: str, part: str, **settings: Any) -> Case:
        return Case(f"defake, {name}", part, "bench.gpu.defake:defake", {"batch": main, "compile": "on"} | often | settings)

    def synth(name: str, **settings: Any) -> Case:
        common = {"batch": 2 if small else 16, "compile": "on"} | often
        return Case(f"synth, {name}", "synth", "bench.gpu.synth:synth", common | settings)

    def eager(batch: int) -> Case:
        part, details = ("defake", True) if batch == main else ("batches", False)
        return defake(f"eager, batch {batch}", part, batch=batch, compile="off", details=details, **once)

    yield defake(f"compiled, batch {main}", "defake", details=True)
    yield synth("compiled", details=True)
    # Three runs, the longest of all: what comes behind it may find no time left.
    units = {"units": 2, "rows": 4} if small else {"units": 3, "rows": 256}
    for how in ("on", "off") if small else ("on",):
        name = f"store to store, {'compiled' if how == 'on' else 'eager'}, batch {main}"
        yield Case(name, "store", "bench.gpu.store:store", {"batch": main, "compile": how, **units}, 150)
    yield eager(main)
    yield synth("eager", compile="off", **once)
    yield Case("training, DFG of 112 px", "training", "bench.gpu.training:training", {"batch": 4 if small else 256}, 90)
    yield defake("compiled, fp8", "fp8", dtype="fp8")
    yield synth("compiled, three quarters of the calls guided", guided=0.75)
    # A batch of four draws a face, as large for the U-Net as the main one.
    yield defake("compiled, 4 draws of 10 calls", "draws", batch=max(1, main // 4), draws=4, calls=10)
    others = [batch for batch in batches if batch != main]
    for batch in others:
        yield defake(f"compiled, batch {batch}", "batches", batch=batch)
    for batch in others:
        yield eager(batch)


def parts() -> list[str]:
    """Names that cases can be asked for by."""
    return list(dict.fromkeys(case.part for case in _all(False)))
