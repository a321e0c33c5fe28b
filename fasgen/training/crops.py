"""The crops of a store with what its manifests say of them: who, live or spoof, by which device, in which style."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fasgen.errors import SourceError
from fasgen.training.faces import Face, rows_of_crops


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
    """

    face: Face
    label: str
    dataset: str
    device: str | None
    domain: str
    known: bool


def list_crops(store: Path) -> list[Crop]:
    """Live and spoof crops of the current generation that cut them from sources, in the order of the manifests.

    Raises:
        SourceError: if there are none.
    """
    crops = []
    for made, unit, row in rows_of_crops(store):
        if row["label"] not in ("live", "spoof"):
            continue
        name = str(row["sample_id"])
        face = Face(made, name, str(row["subject"] or name), (unit, int(str(row["row"]))))
        device = None if row["device"] is None else str(row["device"])
        crops.append(Crop(face, str(row["label"]), str(row["dataset"]), device, str(row["domain"]), row["subject"] is not None))
    if not crops:
        raise SourceError(f"{store}: no live or spoof crop in it; `fasgen run --store {store}` makes them")
    return crops
