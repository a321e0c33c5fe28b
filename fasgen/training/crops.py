"""The crops of a store with what its manifests say of them: who, live or spoof, by which device, in which style."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fasgen.errors import SourceError
from fasgen.selection.selection import Selector
from fasgen.training.faces import Face, face_of, rows_of_crops


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop.

    Attributes:
        face: where it lies; its subject is the sample itself where nobody is named.
        label: ``live`` or ``spoof``.
        dataset: name of its source.
        device: capture device, if known.
        domain: style key, ``data set|device|attack type``.
        known: the manifest names the subject.
        family: family of attacks over all data sets; empty where unknown and of live faces.
    """

    face: Face
    label: str
    dataset: str
    device: str | None
    domain: str
    known: bool
    family: str = ""


def list_crops(store: Path, rows: Selector | None = None) -> list[Crop]:
    """Live and spoof crops of the current generation that cut them from sources, in the order of the manifests.

    Args:
        store: the store.
        rows: chooses its rows, and learns what it left out; ``None`` takes all.

    Raises:
        SourceError: if there are none.
    """
    rows = rows or Selector()
    crops = []
    for made, unit, row in rows_of_crops(store, rows):
        if row["label"] not in ("live", "spoof"):
            continue
        device = None if row["device"] is None else str(row["device"])
        face = face_of(made, unit, row)
        origin = str(row["label"]), str(row["dataset"]), device, str(row["domain"])
        crops.append(Crop(face, *origin, row["subject"] is not None, str(row.get("attack_family") or "")))
    if not crops:
        raise SourceError(
            f"{store}: no live or spoof crop in it"
            + "".join(f", {count} {why}" for why, count in rows.counted().items())
            + f"; `fasgen run --store {store}` makes them"
        )
    return crops
