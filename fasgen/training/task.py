"""What a network brings to the training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn


class Task(Protocol):
    """What a network brings to the loop.

    Some tasks have more:

    - ``turns``, a sequence of `fasgen.training.turns.Turn`, where networks learn in turn; the loop then calls their losses, not
      `loss`.
    - ``traced = True`` where the losses may be compiled whole, from the batch to the scalar: they are functions of tensors, no
      value of one decides what is computed, all is drawn from torch's global generator, and ``step`` is not read. Of other
      tasks `module` alone is compiled, and nothing where they have turns.
    - ``needs_host``, false where batches are made on the device without the host; making them ahead would gain nothing.
    - ``counted``, what it is trained on: how many, by what (faces, people, held out).
    - ``seen``, the record of what it learns from (`fasgen.seen.Seen`), which is written beside the finished weights.
    - ``parts(batch)``, where a step is taken in several passes: equal parts whose losses have that of ``batch`` for their mean.
    """

    module: nn.Module
    """Holds every parameter that is trained, and nothing else; `loss` calls it."""

    def batches(self, start: int, rank: int, world: int) -> Iterator[Any]:
        """Endless batches of this rank from step ``start`` on, the same after a resume as without one, all of one shape.

        They draw from generators of their own (`fasgen.training.draws`), never from torch's global one: with ``prefetch`` they
        are made on other threads.
        """
        ...

    def loss(self, module: nn.Module, batch: Any, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Scalar loss and named parts for the curve. ``module`` is `module`, possibly compiled.

        Nothing here asks the device for a value: it would be waited for.
        """
        ...

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """Figures on held-out data under the averaged weights; draws a sheet of samples into ``folder``."""
        ...

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the finished network, with the averaged weights in ``module``, in the layout that its stage loads."""
        ...
