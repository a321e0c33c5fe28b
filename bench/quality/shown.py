"""Which of the strangers weights have met, by what they say themselves: ``seen.json`` beside them, and those of their parents.

A probe on what a network makes is flattered wherever that network has met what is tested. So every row of a table is read once
more on the groups that none of its networks has met, and which these are is nobody's memory but the records'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.quality.crops import REPLAYS
from bench.quality.strangers import Strangers
from fasgen.seen import Seen, digest, read_seen

DATASETS = {"webcam": "NUAA", "photographs": "CelebA-Spoof", "replays": "replay"}
"""Names of the sets in the records; those of the replays' people begin with it, as stores name subjects."""


def shown(weights: Iterable[Path], faces: Strangers) -> NDArray[np.bool_]:
    """Faces (N,) of the groups that any of the weights have learnt from, or had a setting chosen by.

    Weights without a record may have met all. A record that names a data set and nobody in it may have met the whole set.

    Args:
        weights: folders.
        faces: whose.

    Raises:
        WeightsError: a record is damaged.
    """
    found = np.zeros(len(faces.names), np.bool_)
    for folder in weights:
        for seen in _chain(read_seen(folder)):
            found |= np.ones_like(found) if seen is None else _of(seen, faces)
    return found


def _of(seen: Seen, faces: Strangers) -> NDArray[np.bool_]:
    found = np.zeros(len(faces.names), np.bool_)
    for name in np.unique(faces.sets).tolist():
        if DATASETS[name] in seen.datasets:
            own = faces.sets == name
            met = np.array([digest(subject) in seen.subjects for subject in subjects(faces)]) & own
            # Nobody named: it may have been everybody.
            found |= np.isin(faces.groups, faces.groups[met]) & own if met.any() else own
    return found


def subjects(faces: Strangers) -> list[str]:
    """Keys (N,) of the people of the replays, as a store of them has it; empty where the set names nobody."""
    parts = (name.split("/") for name in faces.names.tolist())
    return [f"{DATASETS['replays']}/{domain}" if top == REPLAYS else "" for top, domain, *_ in parts]


def _chain(seen: Seen | None) -> Iterator[Seen | None]:
    yield seen
    if seen is not None:
        for parent in seen.parents.values():
            yield from _chain(parent)


def told(weights: Path, faces: Strangers) -> str:
    """A sentence: the data sets of the record, and which groups of these faces are among what was met."""
    seen = read_seen(weights)
    if seen is None:
        return "not known, so all of these faces count as met"
    groups = ", ".join(np.unique(faces.groups[shown([weights], faces)]).tolist())
    return f"{', '.join(seen.datasets)} ({', '.join(seen.attack_types)}); of these faces {groups or 'none'}"
