"""Pairs to learn from: a live face, a spoof of the same person, and a guide that shows the spoof's style on someone else.

A real spoof without a live counterpart still shows its style.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.stages.gallery.train_gallery import Gallery, load_galleries
from fasgen.stages.gallery.training_config import GalleryTraining


class Pairs:
    """The targets of a gallery, with their live faces and guides.

    Args:
        gallery: pictures.

    Attributes:
        targets: (P,) numbers of the spoofs that have a live face and at least one guide.
        unguided: numbers of spoofs that have a live face but no other picture of their style.
    """

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        members: dict[str, list[int]] = defaultdict(list)
        for index, (group, live) in enumerate(zip(gallery.groups, gallery.live, strict=True)):
            if not live:
                members[group].append(index)
        # By subject, so that one person's pictures are one run, which a draw can leave out.
        self._members = {g: np.array(sorted(m, key=lambda i: (gallery.subjects[i], i))) for g, m in members.items()}
        self._runs: dict[int, tuple[int, int]] = {}
        for together in self._members.values():
            self._find_runs(together)
        alone = [i for i in sorted(gallery.lives) if len(self._members[gallery.groups[i]]) < 2]
        self.unguided = alone
        self.targets = np.array(sorted(set(gallery.lives) - set(alone)), np.int64)

    def _find_runs(self, group: NDArray[np.int64]) -> None:
        subjects = [self.gallery.subjects[i] for i in group]
        start = 0
        for end in range(1, len(group) + 1):
            if end == len(group) or subjects[end] != subjects[start]:
                for place in range(start, end):
                    self._runs[int(group[place])] = (start, end)
                start = end

    def __len__(self) -> int:
        return len(self.targets)

    def draw(self, pair: int, generator: torch.Generator) -> tuple[int, int, int]:
        """Live face, target and guide of a pair.

        The guide is of the target's style and shows another person; only where nobody else is there in that style, another
        picture of the same person. It is never the target, which the network could copy.
        """
        target = int(self.targets[pair])
        lives = self.gallery.lives[target]
        live = lives[_below(len(lives), generator)]
        group = self._members[self.gallery.groups[target]]
        start, end = self._runs[target]
        others = len(group) - (end - start)
        if others:
            place = _below(others, generator)
            return live, target, int(group[place if place < start else place + end - start])
        rest = group[group != target]
        return live, target, int(rest[_below(len(rest), generator)])


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))


def load_pairs(config: GalleryTraining) -> tuple[Gallery, Gallery]:
    """The pictures to train on and those held out; ``pairs.json`` says how many pairs have no guide.

    Raises:
        SourceError: if there is nothing to learn from.
    """
    return load_galleries(config, _guided)


def _guided(gallery: Gallery) -> dict[str, int]:
    pairs = Pairs(gallery)
    return {"pairs": len(pairs), "pairs_without_guide": len(pairs.unguided)}
