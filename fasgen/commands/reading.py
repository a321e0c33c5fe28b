"""What was read of sources, and what is odd in them, as lines: the same before a run and from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fasgen.commands.text import plain, tally

if TYPE_CHECKING:
    from fasgen.pipeline.plan import Plan
    from fasgen.sources.reading import Reading


def block(readings: Iterable[Reading], roots: Mapping[str, object] | None = None) -> list[str]:
    """Two lines a source; behind them, two of each kind of what is odd.

    Args:
        readings: what was read.
        roots: where sources lie, by name.
    """
    lines: list[str] = []
    odd: list[str] = []
    for one in readings:
        root = f" from {plain(roots[one.name])}" if roots and one.name in roots else ""
        left_out = f" (left out: {tally(one.skipped)})" if one.skipped else ""
        lines += [f"source   {one.name}: {one.planned}{root}{left_out}", f"         {one.counts}"]
        for each in one.odd:
            odd += [f"odd      {one.name}: {plain(each.what)}"] + ([f"         {each.change}"] if each.change else [])
    return lines + odd


def of_plan(plan: Plan) -> list[str]:
    """The block of a plan."""
    listing = plan.listing
    return block((scan.reading for scan in listing.scans.values()), {name: one.root for name, one in listing.decoding.items()})
