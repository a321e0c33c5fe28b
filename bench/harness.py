"""Side by side: two ways of doing one thing, timed in turns on the same machine in the same minute."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's table.

    Attributes:
        name: what was done.
        ours: this project's figure, in ``unit``.
        peer: the other's figure; None where there is no peer.
        peer_name: the other, with its version.
        ratio: how many times better ours is (above 1 is better); None without a peer.
        aim: the ratio aimed at; None where none is set.
        unit: unit of both figures.
    """

    name: str
    ours: float
    peer: float | None
    peer_name: str
    ratio: float | None
    aim: float | None
    unit: str

    @property
    def verdict(self) -> str:
        """Whether the aim is met; empty where there is none."""
        if self.aim is None:
            return ""
        if self.ratio is None:
            return "no peer"
        return "met" if self.ratio >= self.aim else "missed"


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call, the garbage collector off meanwhile."""
    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start
    finally:
        gc.enable()


def alternate(calls: Sequence[Callable[[], object]], rounds: int = 7, warm: int = 1) -> list[list[float]]:
    """Seconds of every call in every round.

    All calls run once in each round, in an order that turns by one each time, so that what else the machine does and what
    the caches hold meets all of them alike.

    Returns:
        for each call, its seconds by round.
    """
    for _ in range(warm):
        for call in calls:
            call()
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds):
        for place in range(len(calls)):
            index = (place + turn) % len(calls)
            times[index].append(seconds(calls[index]))
    return times


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Median over rounds of ``peer / ours``: each round's pair met the same conditions."""
    return statistics.median(theirs / mine for mine, theirs in zip(ours, peer, strict=True))


def compare(
    name: str,
    ours: Callable[[], object],
    peers: Sequence[tuple[str, Callable[[], object], float | None]],
    *,
    items: float = 1.0,
    unit: str = "s",
    scale: float = 1.0,
    rounds: int = 7,
) -> list[Row]:
    """Time ``ours`` against each peer, in turns.

    Args:
        name: what is done.
        ours: this project's way.
        peers: name with version, the peer's way, aim as a ratio.
        items: things done by one call; figures are per thing.
        unit: unit of the figures.
        scale: how many of the unit a second has.
        rounds: rounds timed.

    Returns:
        one row a peer; figures are medians, the ratio is the median of the rounds' ratios.
    """
    times = alternate([ours, *(call for _, call, _ in peers)], rounds)
    mine = statistics.median(times[0]) / items * scale
    rows = []
    for (peer, _, aim), theirs in zip(peers, times[1:], strict=True):
        ratio = median_ratio(times[0], theirs)
        rows.append(Row(name, mine, statistics.median(theirs) / items * scale, peer, ratio, aim, unit))
    return rows


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    head = ("what", "unit", "fasgen", "peer", "", "ratio", "aim", "")
    lines = [head] + [
        (
            row.name,
            row.unit,
            _figure(row.ours),
            "" if row.peer is None else _figure(row.peer),
            row.peer_name,
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.aim is None else f"{row.aim:.2f}",
            row.verdict,
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    right = {2, 3, 5, 6}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
