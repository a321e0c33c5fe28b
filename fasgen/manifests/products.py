"""What a generation's ``plan.json`` says of its products: a store is drawn and asked without the stages that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fasgen.manifests.plan_file import Generation, latest, read_plan
from fasgen.manifests.unit import committed_units
from fasgen.records import PHOTOGRAPHED

LEVELS = 127.5
"""The number that stands for 1 in 8-bit levels."""

SIGNED = "signed"

EMBEDDING = "embedding"
"""Array field of whatever says who a face is: unit vectors, of which inner products are cosine similarities."""


@dataclass(frozen=True, slots=True)
class CueFacts:
    """A cue as ``plan.json`` declares it; a part that is missing or of another type is as if it were not said.

    Attributes:
        name: its array field, its member and its name to readers.
        doc: what it holds, with axes and range.
        one: the stored number that stands for 1.
        card: what it is and how it is used, Markdown.
        drawn: ``signed``, in which 0 is grey, or ``magnitude``, in which 0 is black.
        leaves: name of the picture that is left when it is taken from the image; empty where it is no exact difference.
    """

    name: str
    doc: str = ""
    one: float = LEVELS
    card: str = ""
    drawn: str = SIGNED
    leaves: str = ""


@dataclass(frozen=True, slots=True)
class Products:
    """What a generation holds.

    Attributes:
        lanes: the lanes that its rows are of.
        primaries: stages whose ok rows are its rows; empty for one that reads sources.
        draws: whether its rows were drawn by a roster.
        picture: the image field that is the picture of the sample from here on; empty where it left the picture as it was.
        arrays: array fields it may have.
        cues: those of them that are cues, by name.
        gathers: the cues of others that it holds, by name.
        scores: by column that is a score, in the stage's order, what a higher value tells: ``live``, ``spoof``, ``better`` or
            ``worse``.
    """

    lanes: frozenset[str] = frozenset()
    primaries: tuple[str, ...] = ()
    draws: bool = False
    picture: str = ""
    arrays: tuple[str, ...] = ()
    cues: Mapping[str, CueFacts] = field(default_factory=dict)
    gathers: Mapping[str, CueFacts] = field(default_factory=dict)
    scores: Mapping[str, str] = field(default_factory=dict)

    @property
    def cuts(self) -> bool:
        """Whether it cut the picture of each photograph out of its source."""
        return PHOTOGRAPHED in self.lanes and bool(self.picture) and not self.primaries


def products(plan: Mapping[str, Any]) -> Products:
    """What a plan says; of a plan from before it said so, nothing."""
    return Products(
        frozenset(_words(plan.get("lanes"))),
        _words(plan.get("primaries")),
        plan.get("roster") is True,
        _text(plan.get("picture")),
        _words(plan.get("arrays")),
        _cues(plan.get("cues")),
        _cues(plan.get("gathers")),
        _pairs(plan.get("scores")),
    )


def cutter(store: Path) -> Generation | None:
    """The generation that cut the pictures of photographs, of those that are current; None where there is none."""
    return next((one for one in latest(store) if products(read_plan(one.folder)).cuts), None)


def maker_of(store: Path, array: str) -> Generation | None:
    """The generation that has an array of photographs, of those that are current; None where there is none."""
    for one in latest(store):
        made = products(read_plan(one.folder))
        if array in made.arrays and PHOTOGRAPHED in made.lanes:
            return one
    return None


def units_of(made: Generation | None) -> list[tuple[Path, int]]:
    """Folder and number of every committed unit of a generation; none where there is no generation."""
    return [(made.folder, unit) for unit in committed_units(made.folder)] if made else []


def _cues(value: object) -> dict[str, CueFacts]:
    found = {}
    for entry in value if isinstance(value, list | tuple) else ():
        told = _mapping(entry)
        name, one = _text(told.get("name")), told.get("one")
        if name:
            scale = float(one) if isinstance(one, int | float) and 0 < one < 2**53 else LEVELS
            doc, card, drawn, leaves = (_text(told.get(word)) for word in ("doc", "card", "drawn", "leaves"))
            found[name] = CueFacts(name, doc, scale, card, drawn or SIGNED, leaves)
    return found


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _pairs(value: object) -> dict[str, str]:
    pairs = [_words(pair) for pair in value] if isinstance(value, list | tuple) else []
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _words(value: object) -> tuple[str, ...]:
    return tuple(word for word in value if isinstance(word, str)) if isinstance(value, list | tuple) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
