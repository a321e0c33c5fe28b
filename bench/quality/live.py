"""Live faces on the template, by data set: whom the generator is asked to keep.

* *celebrities*: people of ``live_aligned_112``, named by the caller;
* *wild*: the held-out side of ``live_wild_112``; who is who follows from its identity clusters;
* *london*: the studio portraits of the Face Research Lab London Set, two a person, cut by the align stage.

Whether a set was really kept from a generator's training is a matter of its weights; the model card says so for those embedded.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.quality.crops import Picture, cut_once
from fasgen.errors import SourceError
from fasgen.training.config import FacesConfig
from fasgen.training.faces import Face, list_faces, load_faces

CELEBRITIES, WILD, LONDON = "live_aligned_112", "live_wild_112", "london"
SUBJECTS = ("Barack_Obama", "Keira_Knightley", "Hugh_Laurie", "Jennifer_Lopez")
SIDE = 112

LiveSet = Literal["celebrities", "wild", "london"]


@dataclass(frozen=True)
class LiveFaces:
    """Crops (N, H, W, 3) of live faces, their names, of which the noise is drawn, and who (N,) they show."""

    crops: NDArray[np.uint8]
    names: tuple[str, ...]
    subjects: NDArray[np.str_]


def spread(count: int, limit: int | None) -> NDArray[np.int64]:
    """``limit`` indices evenly over ``count``, all of them where ``limit`` is None or larger."""
    wanted = count if limit is None else min(limit, count)
    return np.arange(wanted, dtype=np.int64) * count // max(wanted, 1)


def celebrities(data: Path, subjects: Sequence[str], limit: int | None) -> LiveFaces:
    """Pictures of the people named.

    Raises:
        SourceError: there are none, or fewer than two people are named.
    """
    if len(set(subjects)) < 2:
        raise SourceError("--subjects: name two or more, or there is no other person to compare with")
    _, held = list_faces(FacesConfig.model_validate({"path": data / CELEBRITIES, "size": SIDE, "holdout": tuple(subjects)}))
    return _read(held, limit)


def wild(data: Path, limit: int | None) -> LiveFaces:
    """The held-out side of the faces in the wild.

    Raises:
        SourceError: there are none.
    """
    listing = data / WILD / "faces.csv"
    if not listing.is_file():
        raise SourceError(f"--data: no {listing}; name the folder of the data sets")
    with listing.open(newline="") as file:
        rows = sorted((row["path"], row["cluster"]) for row in csv.DictReader(file) if row["split"] == "heldout")
    return _read([Face(data / WILD / path, path, cluster) for path, cluster in rows], limit)


def london(data: Path, out: Path, device: str, limit: int | None) -> LiveFaces:
    """The studio portraits, cut once and kept in ``out``.

    Raises:
        SourceError: there are none.
    """
    crops = cut_once(out / "crops-london.npz", data, _portraits, device, "london")
    kept = crops.only(spread(len(crops.images), limit))
    return LiveFaces(kept.images, tuple(kept.names.tolist()), kept.groups)


def _portraits(data: Path) -> list[Picture]:
    portraits = [p.relative_to(data).as_posix() for p in sorted((data / LONDON).glob("*/*.jpg"))]
    if not portraits:
        raise SourceError(f"--data: no */*.jpg below {data / LONDON}; name the folder of the data sets")
    return [Picture(portrait, False, portrait.split("/")[1]) for portrait in portraits]


def live_faces(
    name: LiveSet, data: Path, out: Path, *, subjects: Sequence[str], device: str = "cpu", limit: int | None = None
) -> LiveFaces:
    """One of the sets, or so many of its faces, evenly spread.

    Args:
        name: which.
        data: folder of the data sets.
        out: folder that keeps crops.
        subjects: of celebrities, who.
        device: torch's name of the device that aligns.
        limit: how many; all where None.

    Raises:
        SourceError: the faces are missing.
    """
    of: dict[str, Callable[[], LiveFaces]] = {
        "celebrities": lambda: celebrities(data, subjects, limit),
        "wild": lambda: wild(data, limit),
        "london": lambda: london(data, out, device, limit),
    }
    return of[name]()


def _read(faces: Sequence[Face], limit: int | None) -> LiveFaces:
    chosen = [faces[i] for i in spread(len(faces), limit)]
    crops: NDArray[Any] = np.ascontiguousarray(load_faces(chosen, SIDE).permute(0, 2, 3, 1).numpy())
    return LiveFaces(crops, tuple(face.name for face in chosen), np.array([face.subject for face in chosen]))
