"""The upstream units of one task: what other stages made of a row, and of its guide."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from fasgen.errors import StoreError
from fasgen.manifests.parquet import read_schema
from fasgen.manifests.unit import check_manifest, manifest_path
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.engine import UnitTask
from fasgen.records import Reason, Scalar
from fasgen.stages.stage import Reads, Reject, Sample, SampleCue

if TYPE_CHECKING:
    import pyarrow as pa

_GUIDE_UNITS = 16
"""Units of guides that a unit in work keeps open."""


class Upstream:
    """The upstream units of one task, opened, and those of guides as they are met."""

    def __init__(self, task: UnitTask) -> None:
        self._task = task
        names = dict.fromkeys(read.stage for reads in task.lanes for read in reads)
        with ExitStack() as opened:
            self._readers = {name: opened.enter_context(self._open(name, task.key.unit)) for name in names}
            self._files = opened.pop_all()
        self._guides: OrderedDict[tuple[str, int], UnitReader] = OrderedDict()

    def rows(self, stage: str) -> list[dict[str, Scalar]]:
        """All rows of a stage's unit."""
        return self._readers[stage].rows

    def known(self, lane: Sequence[Reads], row: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """By column, what the stages that ``lane`` reads say of a row, of two of one name the first."""
        number, variant = int(str(row["row"])), int(str(row["variant"]))
        found = dict(row)
        for read in lane:
            stored = self._readers[read.stage].row(number, 0 if read.parent else variant)
            found = {**(stored or {}), **found}
        return found

    def schema(self) -> pa.Schema:
        """The types of all columns of the upstream units."""
        import pyarrow as pa

        paths = [manifest_path(self._task.upstream[name].folder, self._task.key.unit) for name in self._readers]
        fields = {one.name: one.type for path in reversed(paths) for one in read_schema(path)}
        return pa.schema(fields.items())

    def place(self, lane: Sequence[Reads], row: Mapping[str, Scalar]) -> int:
        """The place that the roster gave a variant: the stage that drew it stored it in its column ``place``."""
        key = int(str(row["row"])), int(str(row["variant"]))
        for read in lane:
            stored = None if read.parent else self._readers[read.stage].row(*key)
            if stored is not None and stored.get("place") is not None:
                return int(str(stored["place"]))
        raise StoreError(f"{self._task.key.stage} unit {self._task.key.unit}: no stage that it reads gives the place of {key}")

    def fill(self, sample: Sample, lane: Sequence[Reads], row: Mapping[str, Scalar]) -> Reject | None:
        """Put into ``sample`` what ``lane`` reads of its row, of its photograph and of its guide, or say why that cannot be."""
        number, variant = int(str(row["row"])), int(str(row["variant"]))
        for read in lane:
            reader = self._readers[read.stage]
            stored = reader.row(number, 0 if read.parent else variant)
            if stored is None or stored["status"] != "ok":
                return _inherited(read.stage, stored)
            _take(sample, read, reader, stored)
        return self._fill_guide(sample)

    def _fill_guide(self, sample: Sample) -> Reject | None:
        unit, number = sample.values.get("guide_unit"), sample.values.get("guide_row")
        if unit is None or number is None:
            return None
        for read in self._task.guides:
            reader = self._guide(read.stage, int(str(unit)))
            stored = reader.row(int(str(number)))
            if stored is None or stored["status"] != "ok":
                return Reject(Reason.GUIDE, f"the guide was rejected: {_inherited(read.stage, stored).detail}")
            _take(sample, read, reader, stored)
        return None

    def _guide(self, stage: str, unit: int) -> UnitReader:
        key = stage, unit
        if key not in self._guides:
            self._guides[key] = self._open(stage, unit)
            if len(self._guides) > _GUIDE_UNITS:
                self._guides.popitem(last=False)[1].close()
        self._guides.move_to_end(key)
        return self._guides[key]

    def _open(self, stage: str, unit: int) -> UnitReader:
        upstream = self._task.upstream[stage]
        check_manifest(upstream.folder, unit)
        return UnitReader(upstream.folder, unit, upstream.tar)

    def close(self) -> None:
        """Close every unit."""
        self._files.close()
        for reader in self._guides.values():
            reader.close()
        self._guides.clear()


def _take(sample: Sample, read: Reads, reader: UnitReader, row: Mapping[str, Scalar]) -> None:
    before, number, variant = read.prefix, int(str(row["row"])), int(str(row["variant"]))
    if read.images or read.encoded or read.arrays or read.cue:
        # Nothing is made, and nothing shipped, from bytes that are not those that were committed.
        reader.check(number, variant)
    if read.cue:
        values = {name: row[name] for name in read.columns}
        sample.cues[read.cue.name] = SampleCue(read.cue, reader.array(number, read.cue.name, variant), values)
        return
    sample.images.update((before + name, reader.image(number, name, variant)) for name in read.images)
    sample.files.update((before + name, reader.encoded(number, name, variant)) for name in read.encoded)
    sample.arrays.update((before + name, reader.array(number, name, variant)) for name in read.arrays)
    sample.values.update((before + name, row[name]) for name in read.columns)


def _inherited(stage: str, stored: Mapping[str, Scalar] | None) -> Reject:
    if stored is None:
        return Reject(Reason.STAGE_ERROR, f"{stage} has no row of this sample")
    return Reject(Reason(str(stored["reason"])), f"{stage}: {stored['detail'] or ''}".rstrip(": "))
