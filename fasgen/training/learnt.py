"""What a training has seen, from the faces that it learns from and from the weights that it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from fasgen.seen import Seen, digest, read_seen
from fasgen.training.config import StoreTraining
from fasgen.training.faces import Face


def learnt(training: str, faces: Iterable[Face], config: StoreTraining, parents: Mapping[str, Path | None]) -> Seen:
    """The record of a training.

    Args:
        training: its name.
        faces: all whose pictures it learns from, or chooses a setting of the finished network by.
        config: which rows it chose.
        parents: by role, the weights that it begins from or learns with; those that are None are not there.
    """
    some = list(faces)
    known = [face.origin for face in some if face.origin is not None]
    return Seen(
        training,
        tuple({one.dataset for one in known}),
        frozenset(digest(face.name) for face in some if face.origin is not None),
        frozenset(digest(one.subject) for one in known if one.subject is not None),
        len(some) - len(known),
        tuple({one.attack_type or "live" for one in known}),
        Counter(one.split or "" for one in known),
        config.protocol or "",
        config.where or "",
        {role: read_seen(path) for role, path in parents.items() if path is not None},
    )
