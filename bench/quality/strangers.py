"""Faces of several data sets, live and under attack, so sampled that no set, person or kind outweighs another.

A *set* is where pictures come from. A *group* is what is held out at once: a set, or of the replays a domain. A *person* is the
unit of what was drawn by chance: whoever sits before a webcam; of the photographs, which name nobody, a run of neighbouring
numbers, as neighbours show the same person; of the replays the domain, which shows one or a few people.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.quality.crops import ONE_PERSON, PHOTOGRAPHS, REPLAYS, WEBCAM, Crops
from bench.quality.live import spread
from bench.quality.probe import LISTINGS, aligned
from fasgen.errors import SourceError

RUN = 5
"""Neighbouring numbers of the photographs that are taken for one person."""

EACH = {WEBCAM: 7, PHOTOGRAPHS: 3, REPLAYS: 9}
"""Faces of every person and kind that are taken at most, by data folder: about two hundred a set."""


class Place(NamedTuple):
    """Where a picture belongs."""

    of_set: str
    group: str
    person: str


def place(path: str) -> Place:
    """Of a picture's path below the data folder.

    Raises:
        SourceError: it lies in none of the sets.
    """
    parts = path.split("/")
    if parts[0] == WEBCAM:
        return Place("webcam", "webcam", parts[2])
    if parts[0] == PHOTOGRAPHS:
        return Place("photographs", "photographs", f"photographs {int(Path(path).stem) // RUN}")
    if parts[0] == REPLAYS:
        domain = ONE_PERSON.get(parts[1], parts[1])
        return Place("replays", domain, domain)
    raise SourceError(f"{path}: of no set; those known are {WEBCAM}, {PHOTOGRAPHS} and {REPLAYS}")


@dataclass(frozen=True)
class Strangers:
    """Crops (N, H, W, 3) with, one a crop: name, whether it is an attack, set, group and person."""

    images: NDArray[np.uint8]
    names: NDArray[np.str_]
    spoof: NDArray[np.bool_]
    sets: NDArray[np.str_]
    groups: NDArray[np.str_]
    people: NDArray[np.str_]

    @classmethod
    def of(cls, parts: list[Crops]) -> Strangers:
        """Balanced sample of the sets' crops, the same whenever it is drawn: of each person and kind, evenly spread."""
        images, names, spoof, places = [], [], [], []
        for crops in parts:
            found = [place(name) for name in crops.names.tolist()]
            keys = [(where.person, bool(kind)) for where, kind in zip(found, crops.spoof, strict=True)]
            for key in sorted(set(keys)):
                own = [i for i, other in enumerate(keys) if other == key]
                most = EACH[str(crops.names[own[0]]).split("/")[0]]
                for i in (own[j] for j in spread(len(own), most)):
                    images.append(crops.images[i])
                    names.append(str(crops.names[i]))
                    spoof.append(bool(crops.spoof[i]))
                    places.append(found[i])
        columns = (np.array(column) for column in zip(*places, strict=True))
        return cls(np.stack(images), np.array(names), np.array(spoof), *columns)

    def only(self, chosen: NDArray[Any]) -> Strangers:
        """A selection of them."""
        return Strangers(*(getattr(self, column.name)[chosen] for column in fields(self)))


def strangers(data: Path, out: Path, device: str) -> Strangers:
    """The sample; crops are cut once and kept in ``out``.

    Raises:
        SourceError: a data set is missing.
    """
    return Strangers.of([aligned(data, out, name, device) for name in LISTINGS])
