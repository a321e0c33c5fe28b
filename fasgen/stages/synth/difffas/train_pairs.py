"""Pairs to learn from: a live face, a spoof of the same person, and a guide that shows the spoof's style on someone else.

A real spoof without a live counterpart still shows its style.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor

from fasgen.stages.gallery.train_gallery import Gallery, load_galleries
from fasgen.stages.gallery.training_config import GalleryTraining
from fasgen.training.draws import Lists


class Pairs:
    """The targets of a gallery, with their live faces and guides.

    Args:
        gallery: pictures.

    Attributes:
        targets: (P,) int64 numbers of the spoofs that have a live face and at least one guide.
        unguided: numbers of spoofs that have a live face but no other picture of their style.
    """

    def __init__(self, gallery: Gallery) -> None:
        self.gallery = gallery
        members: dict[str, list[int]] = defaultdict(list)
        for index, (group, live) in enumerate(zip(gallery.groups, gallery.live, strict=True)):
            if not live:
                members[group].append(index)
        # By subject, so that one person's pictures are one run, which a draw can leave out.
        self._members = {g: sorted(m, key=lambda i: (gallery.subjects[i], i)) for g, m in members.items()}
        alone = [i for i in sorted(gallery.lives) if len(self._members[gallery.groups[i]]) < 2]
        self.unguided = alone
        targets = sorted(set(gallery.lives) - set(alone))
        self.targets = torch.tensor(targets, dtype=torch.int64)
        self._lives = Lists([gallery.lives[target] for target in targets])
        self._groups = list(self._members)
        self._flat = torch.tensor([i for group in self._groups for i in self._members[group]], dtype=torch.int64)
        self._places = torch.tensor(self._find(targets), dtype=torch.int64).reshape(-1, 4)

    def _find(self, targets: Sequence[int]) -> list[tuple[int, int, int, int]]:
        """Of each target: where its group begins, how many are in it, and which run of it is no guide, its begin and length."""
        subjects, found = self.gallery.subjects, {}
        begin = 0
        for group in self._groups:
            members = self._members[group]
            for start, end in _runs([subjects[i] for i in members]):
                for place in range(start, end):
                    # Where nobody else is there, the picture itself alone is left out.
                    left_out = (start, end - start) if end - start < len(members) else (place, 1)
                    found[members[place]] = (begin, len(members), *left_out)
            begin += len(members)
        return [found[target] for target in targets]

    def __len__(self) -> int:
        return len(self.targets)

    def draw(self, pairs: Tensor, coin: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Live faces, targets and guides of ``pairs`` (B,), (B,) numbers each.

        A guide is of its target's style and shows another person; only where nobody else is there in that style, another
        picture of the same person. It is never the target, which the network could copy.
        """
        begin, size, left_out, length = self._places[pairs].unbind(1)
        share = torch.rand(len(pairs), generator=coin, dtype=torch.float64)
        place = (share * (size - length)).long()
        place = torch.where(place < left_out, place, place + length)
        return self._lives.draw(pairs, coin), self.targets[pairs], self._flat[begin + place]


def _runs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Begin and end of each run of one name."""
    starts = [i for i in range(len(names)) if i == 0 or names[i] != names[i - 1]]
    return list(zip(starts, [*starts[1:], len(names)], strict=True))


def load_pairs(config: GalleryTraining) -> tuple[Gallery, Gallery]:
    """The pictures to train on and those held out; ``pairs.json`` says how many pairs have no guide.

    Raises:
        SourceError: if there is nothing to learn from.
    """
    return load_galleries(config, _guided)


def _guided(gallery: Gallery) -> dict[str, int]:
    pairs = Pairs(gallery)
    return {"pairs": len(pairs), "pairs_without_guide": len(pairs.unguided)}
