"""An endless order over a group of samples, any part of which is known without what came before it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasgen.reader.index import Draw
from fasgen.seeds import sample_seed

_KEPT = 2  # passes: a step touches one or, at a seam, two


class Queue:
    """Pass after pass over ``numbers``, each pass in another order; every sample once a pass.

    Args:
        numbers: the group, not empty.
        seed: of the sampler.
        name: of the group; groups of other names have other orders.
        window: 0 shuffles a pass as a whole. Otherwise runs of this many neighbours (samples that lie next to each other
            in the shards) are read one after the other, in random order and shuffled inside: reads stay near each other, which
            disks that seek and networks want.
    """

    def __init__(self, numbers: ArrayLike, seed: int, name: str, window: int = 0) -> None:
        self.numbers: NDArray[np.int64] = np.sort(np.asarray(numbers, np.int64))
        self._key = sample_seed(seed, "reader.sampler", name)
        self._window = window
        self._orders: OrderedDict[int, NDArray[np.int64]] = OrderedDict()

    def __len__(self) -> int:
        return self.numbers.size

    def take(self, start: int, count: int) -> list[Draw]:
        """Draws ``start`` to ``start + count`` (exclusive); a draw's variant is its pass."""
        out: list[Draw] = []
        while len(out) < count:
            number, place = divmod(start + len(out), len(self))
            part = self.order(number)[place : place + count - len(out)]
            out += [Draw(int(n), number) for n in part]
        return out

    def order(self, number: int) -> NDArray[np.int64]:
        """The samples in the order of pass ``number``."""
        if number not in self._orders:
            rng = np.random.Generator(np.random.Philox(key=[self._key, number]))
            self._orders[number] = self.numbers[_shuffle(len(self), self._window, rng)]
            while len(self._orders) > _KEPT:
                self._orders.popitem(last=False)
        return self._orders[number]


def _shuffle(count: int, window: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if not window:
        return rng.permutation(count)
    # The first run is of random length, so that the same neighbours are not always together.
    first = int(rng.integers(1, window + 1))
    edges = [0, *range(min(first, count), count, window), count]
    runs: Sequence[NDArray[np.int64]] = [np.arange(a, b) for a, b in pairwise(edges)]
    return np.concatenate([rng.permutation(runs[i]) for i in rng.permutation(len(runs))])
