"""What a protocol is: for each side, which rows of which data sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SIDES = ("train", "dev", "test")
Condition = Mapping[str, tuple[str, ...]]
"""Allowed values by column. A name that begins with ``!`` lists those that are not allowed; a null passes neither."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of one data set.

    Attributes:
        dataset: name of the data set.
        where: what every row must fulfil.
        live: what live rows must fulfil besides; None takes none.
        spoof: what spoof rows must fulfil besides; None takes none.
        frames: frames from the beginning of a clip that count; None: all.
        takes: how many of the frames that were asked for of a clip are taken, and how many are asked for; None: all.
    """

    dataset: str
    where: Condition = field(default_factory=dict)
    live: Condition | None = field(default_factory=dict)
    spoof: Condition | None = field(default_factory=dict)
    frames: int | None = None
    takes: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol, or one fold of one.

    Attributes:
        name: what it is called on the command line.
        about: one line for people.
        train, dev, test: parts of each side; empty where the protocol has no such side.
        notes: what a user must know to report figures under its name.
        family: what the folds of one protocol are called together, whose figures are reported as mean and deviation; empty for
            a protocol that has no folds.
        by_lists: whether only lists say which files are on which side: no rule derives it.
    """

    name: str
    about: str
    train: tuple[Part, ...]
    test: tuple[Part, ...]
    dev: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    by_lists: bool = False
    family: str = ""

    @property
    def sides(self) -> dict[str, tuple[Part, ...]]:
        """Parts by side, sides without any left out."""
        return {side: parts for side in SIDES if (parts := getattr(self, side))}
