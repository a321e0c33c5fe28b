"""What a store holds, asked from Python."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fasgen.audit.lineage import Trace, trace_sample
from fasgen.audit.query import show
from fasgen.errors import StoreError
from fasgen.manifests.images import RGB
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import latest, read_plan
from fasgen.manifests.products import products
from fasgen.manifests.unit import committed_units, manifest_path, member_key
from fasgen.manifests.unit_reader import UnitReader

if TYPE_CHECKING:
    import pyarrow as pa


class Store:
    """A store, of each stage the generation that is current. Nothing is written, and no stage is imported.

    Args:
        path: its folder.

    Raises:
        StoreError: it is no folder.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise StoreError(f"{self.path}: there is no store here; fasgen.run makes one")
        self._places: dict[Path, dict[str, tuple[int, int, int]]] = {}

    @cached_property
    def folders(self) -> dict[str, Path]:
        """Generation by stage."""
        return {one.stage: one.folder for one in latest(self.path)}

    def rows(self, condition: str | None = None, columns: Sequence[str] | None = None, limit: int | None = None) -> pa.Table:
        """Rows of all stages' manifests; ``rows(...).to_pylist()`` gives dicts.

        Args:
            condition: as ``fasgen show`` takes it, for example ``"stage = 'score' and brisque > 55"``; None: every row.
            columns: columns; None: all.
            limit: rows at most; None: all.

        Raises:
            FilterError: the condition is not one, or a column is not there.
            StoreError: nothing is committed, or a manifest is damaged.
        """
        return show(self.path, condition, columns, limit)

    def image(self, sample: str, stage: str, field: str | None = None) -> RGB:
        """An image that a stage stored of a sample, H x W x 3 uint8 RGB.

        Args:
            sample: its id, with a dash and the variant where that is not 0.
            stage: the stage.
            field: the image field; None: the one that is the sample's picture.

        Raises:
            StoreError: there is no such stage, sample or image.
        """
        folder = self._folder(stage)
        name = field or products(read_plan(folder)).picture
        if not name:
            raise StoreError(f"{folder}: {stage} makes no picture of a sample; name the field of the image")
        unit, row, variant = self._place(folder, sample)
        with UnitReader(folder, unit) as reader:
            return reader.image(row, name, variant)

    def arrays(self, sample: str, stage: str) -> dict[str, NDArray[Any]]:
        """The arrays that a stage stored of a sample, by field, as stored.

        Raises:
            StoreError: there is no such stage or sample, or it has no product there.
        """
        folder = self._folder(stage)
        unit, row, variant = self._place(folder, sample)
        with UnitReader(folder, unit) as reader:
            return {name: reader.array(row, name, variant) for name in reader.facts.arrays}

    def trace(self, sample: str) -> Trace:
        """The whole line of a sample: what it was made from, its own rows, and what was made of it.

        Raises:
            StoreError: there is no such sample, or a manifest is damaged.
        """
        return trace_sample(self.path, sample)

    def _folder(self, stage: str) -> Path:
        if stage not in self.folders:
            there = ", ".join(self.folders) or "nothing"
            raise StoreError(f"{self.path}: has nothing of a stage {stage!r}; there is {there}")
        return self.folders[stage]

    def _place(self, folder: Path, sample: str) -> tuple[int, int, int]:
        """Unit, row and variant of a sample."""
        if folder not in self._places:
            self._places[folder] = {
                member_key(row["sample_id"], row["variant"]): (unit, row["row"], row["variant"])
                for unit in committed_units(folder)
                for row in read_table(manifest_path(folder, unit), ("sample_id", "row", "variant")).to_pylist()
            }
        if sample not in self._places[folder]:
            raise StoreError(f"{folder}: has no sample {sample!r}; their ids: Store.rows(columns=['sample_id', 'variant'])")
        return self._places[folder][sample]
