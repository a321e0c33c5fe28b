"""A unit's input: from the listing's files or from upstream's committed units to samples in their slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple, Protocol

from fasgen.errors import SourceError
from fasgen.manifests.shard import Row, UnitReader
from fasgen.pipeline.calling import is_out_of_memory, one_line
from fasgen.pipeline.engine import SourceSlice, UnitTask
from fasgen.records import PROVENANCE, Reason, Scalar
from fasgen.seeds import sample_seed
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.scan import SourceRow
from fasgen.stages.stage import Reads, Reject, Sample, StageSpec


class Loaded(NamedTuple):
    """A planned row with its sample, or with the reason why it has none."""

    row: Row
    sample: Sample | Reject


class UnitInput(Protocol):
    """The planned rows of a unit, loaded one at a time by their position."""

    @property
    def rows(self) -> Sequence[int]:
        """Row number at each position, ascending."""
        ...

    def load(self, position: int) -> Loaded:
        """Read one row's inputs."""
        ...

    def skip(self, position: int, reject: Reject) -> Loaded:
        """The row rejected without touching its inputs."""
        ...

    def close(self) -> None:
        """Let go of open files."""
        ...


def open_input(task: UnitTask, spec: StageSpec) -> UnitInput:
    """The input of ``task``, from the listing if it has rows of it, else from upstream."""
    if task.source is not None:
        return SourceInput(task, task.source)
    return UpstreamInput(task, spec.reads)


class SourceInput:
    """Rows of the listing, decoded from their files.

    Raises:
        SourceError: a source's folder is not there: an unmounted disk must not become a thousand unreadable samples.
    """

    def __init__(self, task: UnitTask, source: SourceSlice) -> None:
        self._task, self._source = task, source
        self._decoders: dict[str, Decoder] = {}
        self.rows = range(len(source.rows))
        for name in sorted({row.dataset for row in source.rows}):
            place = source.places[name]
            if not place.root.is_dir():
                raise SourceError(f"source {name}: {place.root} is not there any more; mount it, or set its path anew")
            self._decoders[name] = Decoder(*place)

    def load(self, position: int) -> Loaded:
        """Decode one image or frame; what cannot be decoded becomes a reject."""
        source = self._source.rows[position]
        decoder = self._decoders[source.dataset]
        try:
            image, values = decoder.read(source)
        except SampleError as error:
            return self.skip(position, Reject(error.reason, error.detail))
        except Exception as error:
            reason = Reason.OUT_OF_MEMORY if is_out_of_memory(error) else Reason.CORRUPT
            return self.skip(position, Reject(reason, one_line(error)))
        row = self._row(position, source, values)
        slot = position % self._task.batch
        known = {**(row.provenance or {}), **values}
        return Loaded(
            row, Sample(row.sample_id, row.seed, slot, {"image": image}, values=known, nearby=decoder.nearby(source, values))
        )

    def skip(self, position: int, reject: Reject) -> Loaded:
        """The row rejected without touching its file."""
        return Loaded(self._row(position, self._source.rows[position], {}), reject)

    def _row(self, position: int, source: SourceRow, values: Mapping[str, Scalar]) -> Row:
        provenance = {column.name: values.get(column.name, getattr(source, column.name, None)) for column in PROVENANCE}
        seed = sample_seed(self._task.run_seed, self._task.key.stage, source.sample_id)
        return Row(source.sample_id, position, seed, 0, (), provenance)

    def close(self) -> None:
        """Let go of the decoders and the video they hold."""
        self._decoders.clear()


class UpstreamInput:
    """The ok rows of the primary upstream's unit, with what the other upstream stages made of them."""

    def __init__(self, task: UnitTask, reads: Sequence[Reads]) -> None:
        self._task, self._reads = task, reads
        with ExitStack() as opened:
            self._readers = {
                read.stage: opened.enter_context(UnitReader(upstream.folder, task.key.unit, upstream.tar))
                for read in reads
                for upstream in (task.upstream[read.stage],)
            }
            self._files = opened.pop_all()
        self._by_row = {stage: {int(str(row["row"])): row for row in reader.rows} for stage, reader in self._readers.items()}
        primary = self._by_row[reads[0].stage]
        self.rows = [number for number, row in sorted(primary.items()) if row["status"] == "ok"]

    def load(self, position: int) -> Loaded:
        """Read one row's images, arrays, bytes and columns; a row that another upstream stage rejected inherits the reason."""
        number = self.rows[position]
        row = self._row(number)
        sample = Sample(row.sample_id, row.seed, number % self._task.batch, values=dict(row.provenance or {}))
        for read in self._reads:
            reader, stored = self._readers[read.stage], self._by_row[read.stage].get(number)
            if stored is None or stored["status"] != "ok":
                return Loaded(row, _inherited(read.stage, stored))
            sample.images.update((name, reader.image(number, name)) for name in read.images)
            sample.files.update((name, reader.encoded(number, name)) for name in read.encoded)
            sample.arrays.update((name, reader.array(number, name)) for name in read.arrays)
            sample.values.update((name, stored[name]) for name in read.columns)
        return Loaded(row, sample)

    def skip(self, position: int, reject: Reject) -> Loaded:
        """The row rejected without touching upstream's payloads."""
        return Loaded(self._row(self.rows[position]), reject)

    def _row(self, number: int) -> Row:
        stored = self._by_row[self._reads[0].stage][number]
        provenance = {column.name: stored[column.name] for column in PROVENANCE}
        sample_id, variant = str(stored["sample_id"]), int(str(stored["variant"]))
        seed = sample_seed(self._task.run_seed, self._task.key.stage, sample_id, variant)
        return Row(sample_id, number, seed, variant, (), provenance)

    def close(self) -> None:
        """Close the upstream units."""
        self._files.close()


def _inherited(stage: str, stored: Mapping[str, Scalar] | None) -> Reject:
    if stored is None:
        return Reject(Reason.STAGE_ERROR, f"{stage} has no row of this sample")
    return Reject(Reason(str(stored["reason"])), f"{stage}: {stored['detail'] or ''}".rstrip(": "))


class Crumb(Protocol):
    """Where a worker in quarantine leaves word of the rows it has in hand."""

    def __call__(self, rows: Sequence[int]) -> None:
        """Record ``rows``; what was recorded before no longer holds."""
        ...


def batches(unit: UnitInput, batch: int, excluded: frozenset[int], crumb: Crumb | None = None) -> Iterator[list[Loaded]]:
    """The unit's rows, loaded, a batch at a time: rows with equal ``row // batch``."""
    group: list[Loaded] = []
    for position, number in enumerate(unit.rows):
        if group and number // batch != group[0].row.row // batch:
            yield group
            group = []
        if number in excluded:
            group.append(unit.skip(position, Reject(Reason.WORKER_DIED, "this sample alone has killed its worker twice")))
            continue
        if crumb:
            crumb((number,))
        group.append(unit.load(position))
    if group:
        yield group


def loaded_bytes(group: Sequence[Loaded]) -> int:
    """Bytes of images, arrays and files that a loaded batch holds."""
    total = 0
    for loaded in group:
        if isinstance(loaded.sample, Sample):
            total += sum(array.nbytes for array in loaded.sample.images.values())
            total += sum(array.nbytes for array in loaded.sample.arrays.values())
            total += sum(len(data) for data in loaded.sample.files.values())
    return total
