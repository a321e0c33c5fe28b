"""Rows to units: those that are known keep their places, new ones come behind, those that are gone leave theirs empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fasgen.manifests.places_file import GONE, UNKNOWN, Places, cut

Digests = NDArray[np.uint64]


@dataclass(frozen=True)
class Growth:
    """What has come of the rows since the last run.

    Attributes:
        new: rows that were never there.
        changed: rows whose file, labels or settings of decoding are others than they were.
        gone: rows whose file has gone since.
        back: rows whose file had gone and is there again.
        kept: rows that are what they were.
        absent: rows without a file, those that have just gone among them.
        aside: rows of sources that are not configured any more: nobody looks at them.
    """

    new: int = 0
    changed: int = 0
    gone: int = 0
    back: int = 0
    kept: int = 0
    absent: int = 0
    aside: int = 0

    def __str__(self) -> str:
        back = f"{self.back:,} back, " if self.back else ""
        aside = f"; {self.aside:,} of sources that are not configured any more" if self.aside else ""
        return f"{self.new:,} new, {self.changed:,} changed, {back}{self.gone:,} gone; {self.kept:,} kept{aside}"


@dataclass(frozen=True)
class Placed:
    """Every row at its place.

    Attributes:
        at: number of each row in the scan; -1 where its file is gone.
        ids: sample ids.
        digests: what each row is, two numbers.
        units: first row and the one behind the last, by unit of the sources that are configured.
        first: number of the first unit that is new; ``None`` if there is none.
        known: rows that were placed before.
        growth: what has changed.
        free: number from which on no unit is.
    """

    at: NDArray[np.int64]
    ids: NDArray[np.uint64]
    digests: Digests
    units: Mapping[int, tuple[int, int]]
    first: int | None
    known: int
    growth: Growth
    free: int


def place(
    ids: NDArray[np.uint64],
    digests: Digests,
    sources: NDArray[np.int64],
    names: Sequence[str],
    before: Places,
    unit_rows: int,
    after: int,
    frozen: NDArray[np.uint64],
) -> Placed:
    """Put rows to the places that they have, or behind all others.

    Args:
        ids: sample ids of the scan's rows, in order.
        digests: what each is.
        sources: number of each one's source.
        names: names of the sources. Rows of others that the record knows are kept as they are, and in no unit.
        before: the record.
        unit_rows: rows of a unit.
        after: numbers below this are taken by units that were added.
        frozen: sample ids of people who were taken out: they keep the digest that they had, so that the work that was done for
            the others is believed, whether the files are there or not.
    """
    found = np.full(len(before.ids), -1, np.int64)
    _, here, there = np.intersect1d(ids, before.ids, return_indices=True)
    found[there] = here
    fresh = np.ones(len(ids), bool)
    fresh[found[found >= 0]] = False
    new = np.flatnonzero(fresh)

    other = np.array([name not in names for name in before.names], bool)
    aside = other[before.sources] if len(before.names) else np.zeros(len(before.ids), bool)
    now = np.tile(GONE, (len(found), 1))
    now[found >= 0] = digests[found[found >= 0]]
    kept = np.isin(before.ids, frozen) & (before.seen != UNKNOWN).any(axis=1)
    kept |= aside
    now[kept] = before.seen[kept]
    growth = _growth(now[~aside], before.seen[~aside], len(new), int(aside.sum()))

    units = {number: (start, stop) for number, (start, stop) in before.units.items() if not aside[start]}
    free = max([after, *(number + 1 for number in before.units)])
    first_new = free if len(new) else None
    added = cut(free, len(found), sources[new], unit_rows)
    units |= added
    return Placed(
        np.concatenate([found, new]),
        np.concatenate([before.ids, ids[new]]),
        np.concatenate([now, digests[new]]),
        units,
        first_new,
        len(found),
        growth,
        free + len(added),
    )


def _growth(now: Digests, seen: Digests, new: int, aside: int) -> Growth:
    unknown, was_gone, is_gone = ((one == what).all(axis=1) for one, what in ((seen, UNKNOWN), (seen, GONE), (now, GONE)))
    equal = (seen == now).all(axis=1)
    there = ~unknown & ~was_gone
    return Growth(
        new=new + int(unknown.sum()),
        changed=int((there & ~is_gone & ~equal).sum()),
        gone=int((~was_gone & ~unknown & is_gone).sum()),
        back=int((was_gone & ~is_gone).sum()),
        kept=int((there & equal).sum()),
        absent=int(is_gone.sum()),
        aside=aside,
    )
