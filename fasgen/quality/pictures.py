"""The pictures of a store that are compared: photographs, what was made of them, and reconstructions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.manifests.parquet import concatenated, read_schema, read_table
from fasgen.manifests.plan_file import Generation, latest, read_plan
from fasgen.manifests.products import cutter, maker_of, products, units_of
from fasgen.manifests.unit import manifest_path, member_key
from fasgen.manifests.unit_reader import UnitReader
from fasgen.selection.selection import Selector

if TYPE_CHECKING:
    import pyarrow as pa

RGB = NDArray[np.uint8]
_COLUMNS = (
    *("sample_id", "unit", "row", "variant", "status", "split"),
    *("dataset", "path", "video", "label", "domain", "parent_ids"),
)


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a store.

    Attributes:
        folder: generation that holds it.
        unit, row, variant: where it lies in it.
        sample: id of the photograph, or of the live face that it was made of.
        dataset: its data set.
        file: data set and path, or the video that a still is a frame of: the frames of one share it.
        label: live, spoof or unknown.
        style: data set, capture device and attack type.
        parents: what it was made of, the live face first; none for a photograph.
    """

    folder: Path
    unit: int
    row: int
    variant: int
    sample: str
    dataset: str
    file: str
    label: str
    style: str
    parents: tuple[str, ...]

    @property
    def name(self) -> str:
        """As the store calls it."""
        return member_key(self.sample, self.variant)


def photographs(store: Path, selector: Selector) -> list[Picture]:
    """The crops of photographs that a selection takes.

    Raises:
        StoreError: there are none, or a manifest is damaged.
    """
    made = cutter(store)
    units = units_of(made)
    if made is None or not units:
        raise StoreError(f"{store}: holds no crops of photographs yet: `fasgen run` makes them")
    known = read_schema(manifest_path(*units[0])).names

    def read(columns: Sequence[str]) -> pa.Table:
        return concatenated(read_table(manifest_path(*one), list(columns)) for one in units)

    kept = selector.keeps(store, known, read)
    return [_picture(made.folder, row) for row, keep in zip(read(_COLUMNS).to_pylist(), kept, strict=True) if _is(row, keep)]


def _is(row: dict[str, Any], keep: bool) -> bool:
    return bool(keep) and row["status"] == "ok"


def made_pictures(store: Path, known: set[str]) -> tuple[list[Picture], int]:
    """What was made of photographs all of which are among ``known``, and passed all stages; and how many did not pass."""
    found: list[Picture] = []
    lost = 0
    current = latest(store)
    for one in current:
        told = products(read_plan(one.folder))
        if not (told.draws and told.picture):
            continue
        gone = {key for other in current if other is not one for key in _refused(other, told.lanes)}
        for folder, unit in units_of(one):
            for row in read_table(manifest_path(folder, unit), _COLUMNS).to_pylist():
                if row["status"] != "ok" or not known.issuperset(row["parent_ids"]):
                    continue
                if (row["sample_id"], row["variant"]) in gone:
                    lost += 1
                else:
                    found.append(_picture(folder, row))
    return found, lost


def _refused(one: Generation, lanes: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Rows of a generation on the same lanes that it turned away or could not make."""
    if products(read_plan(one.folder)).lanes != lanes:
        return
    for folder, unit in units_of(one):
        table = read_table(manifest_path(folder, unit), ("sample_id", "variant", "status"))
        yield from ((row["sample_id"], row["variant"]) for row in table.to_pylist() if row["status"] != "ok")


def _picture(folder: Path, row: dict[str, Any]) -> Picture:
    return Picture(
        folder,
        int(row["unit"]),
        int(row["row"]),
        int(row["variant"]),
        row["sample_id"],
        row["dataset"] or "",
        f"{row['dataset']}/{row['video'] or row['path']}",
        row["label"] or "unknown",
        row["domain"] or "",
        tuple(row["parent_ids"] or ()) if row["variant"] else (),
    )


def few(pictures: Sequence[Picture], limit: int) -> list[Picture]:
    """At most so many, chosen by the hash of their names, in the order in which they lie."""
    if len(pictures) <= limit:
        return list(pictures)
    order = sorted(range(len(pictures)), key=lambda i: hashlib.sha256(pictures[i].name.encode()).digest())
    return [pictures[i] for i in sorted(order[:limit])]


def pixels(pictures: Sequence[Picture]) -> Iterator[RGB]:
    """The pictures, H x W x 3, in order.

    Raises:
        StoreError: one is damaged.
    """
    fields = {folder: products(read_plan(folder)).picture for folder in {one.folder for one in pictures}}
    yield from _read(pictures, lambda reader, one: reader.image(one.row, fields[one.folder], one.variant))


def reconstructions(store: Path, pictures: Sequence[Picture]) -> tuple[list[Picture], Callable[[], Iterator[RGB]]]:
    """Those of ``pictures`` of which a reconstruction is known, and what gives these: the picture less a cue that is the exact
    difference. None where no stage made such a cue.
    """
    for one in latest(store):
        for cue in products(read_plan(one.folder)).cues.values():
            made = maker_of(store, cue.name) if cue.leaves else None
            if made is not None:
                return _less(made.folder, cue.name, pictures)
    return [], lambda: iter(())


def _less(folder: Path, cue: str, pictures: Sequence[Picture]) -> tuple[list[Picture], Callable[[], Iterator[RGB]]]:
    there = set()
    for unit in {one.unit for one in pictures}:
        if manifest_path(folder, unit).exists():
            table = read_table(manifest_path(folder, unit), ("row", "variant", "status"))
            there |= {(unit, row["row"], row["variant"]) for row in table.to_pylist() if row["status"] == "ok"}
    kept = [one for one in pictures if (one.unit, one.row, one.variant) in there]

    def arrays() -> Iterator[NDArray[Any]]:
        moved = [Picture(folder, *(getattr(one, name) for name in Picture.__slots__[1:])) for one in kept]
        yield from _read(moved, lambda reader, one: reader.array(one.row, cue, one.variant))

    def made() -> Iterator[RGB]:
        for image, array in zip(pixels(kept), arrays(), strict=True):
            yield (image.astype(np.int16) - array).clip(0, 255).astype(np.uint8)

    return kept, made


def _read(pictures: Sequence[Picture], take: Callable[[UnitReader, Picture], Any]) -> Iterator[Any]:
    reader, place = None, None
    try:
        for one in pictures:
            if (one.folder, one.unit) != place:
                if reader is not None:
                    reader.close()
                place = one.folder, one.unit
                reader = UnitReader(*place)
            if reader is not None:
                yield take(reader, one)
    finally:
        if reader is not None:
            reader.close()
