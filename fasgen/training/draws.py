"""Random draws of a step, from generators that follow from seed, step and rank alone.

So a run that was stopped draws what it would have drawn, whichever thread makes a batch and however many are made ahead. Which
pictures a step sees is drawn on the host, so that it is the same on every device and wherever pictures lie; noise, levels and
whatever else a picture goes through are drawn on the device that uses them, and another kind of device draws others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

CPU = torch.device("cpu")


def seed_of(purpose: str, seed: int, step: int, rank: int) -> int:
    """Seed of one purpose in one step of one rank; those of other purposes are unrelated."""
    digest = hashlib.blake2b(f"{purpose}/{seed}/{step}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def coins(seed: int, step: int, rank: int, device: torch.device) -> tuple[torch.Generator, torch.Generator]:
    """The generators of a rank's batch of ``step``: on the host for which pictures are seen, on ``device`` for all else."""
    wanted = (("pictures", CPU), ("views", device))
    pictures, views = (torch.Generator(at).manual_seed(seed_of(word, seed, step, rank)) for word, at in wanted)
    return pictures, views


def chance(count: int, share: float, coin: torch.Generator) -> Tensor:
    """(count,) true for about a ``share`` of all."""
    return torch.rand(count, generator=coin, device=coin.device) < share


def strata(count: int, coin: torch.Generator) -> Tensor:
    """(count,) float32 in [0, 1), one draw in each of ``count`` equal strata, in random order.

    A batch then covers a range evenly, which takes variance out of its loss.
    """
    order = torch.rand(count, generator=coin, device=coin.device).argsort()
    return (order + torch.rand(count, generator=coin, device=coin.device)) / count


class Lists:
    """Lists of numbers, of any lengths above 0, from which many draws are made at once.

    Args:
        lists: the numbers.
    """

    def __init__(self, lists: Sequence[Sequence[int]]) -> None:
        lengths = [len(one) for one in lists]
        self._members = torch.tensor([number for one in lists for number in one], dtype=torch.int64)
        self._lengths = torch.tensor(lengths, dtype=torch.int64)
        self._starts = torch.tensor([0, *accumulate(lengths)][:-1], dtype=torch.int64)

    def __len__(self) -> int:
        return len(self._lengths)

    def any(self, count: int, coin: torch.Generator) -> Tensor:
        """(count,) numbers of lists, each as likely as any other."""
        return torch.randint(len(self), (count,), generator=coin)

    def draw(self, which: Tensor, coin: torch.Generator) -> Tensor:
        """A number out of each of the lists ``which`` (B,), each of a list as likely as any other."""
        share = torch.rand(which.shape, generator=coin, dtype=torch.float64)
        return self._members[self._starts[which] + (share * self._lengths[which]).long()]
