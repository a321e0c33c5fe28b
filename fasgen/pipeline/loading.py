"""A unit's input: from the listing's files or from upstream's committed units to samples in their slots."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple, Protocol

from fasgen.errors import SourceError, StoreError
from fasgen.manifests.roster_file import IDENTITY, read_roster
from fasgen.manifests.shard import Row
from fasgen.pipeline.calling import is_out_of_memory, one_line
from fasgen.pipeline.engine import SourceSlice, UnitTask
from fasgen.pipeline.selecting import asks, refused
from fasgen.pipeline.upstream import Upstream
from fasgen.records import PROVENANCE, Reason, Scalar
from fasgen.remote.path import RemotePath
from fasgen.seeds import sample_seed
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.rows import SourceRow
from fasgen.stages.stage import Reject, Sample, StageSpec


class Loaded(NamedTuple):
    """A planned row with its sample, or with the reason why it has none.

    ``place`` decides batch and slot, and names the row within its unit.
    """

    row: Row
    place: int
    sample: Sample | Reject


class UnitInput(Protocol):
    """The planned rows of a unit, loaded one at a time by their position."""

    @property
    def places(self) -> Sequence[int]:
        """Place at each position, ascending."""
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
    """The input of ``task``: its rows of the listing, or entries of the roster its stage draws, or what upstream made."""
    if task.source is not None:
        return SourceInput(task, task.source)
    if spec.roster is not None:
        return RosterInput(task)
    return UpstreamInput(task)


def _holds_something(folder: Path) -> bool:
    # `Path.iterdir` reads a folder to its end before it gives the first entry, and this is asked for every unit.
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


def _must_be_there(name: str, root: Path | RemotePath) -> None:
    try:
        there = root.is_dir() if isinstance(root, RemotePath) else _holds_something(root)
    except OSError:
        there = False
    if not there:
        # An unmounted disk leaves an empty folder behind.
        raise SourceError(f"source {name}: {root} is not there any more, or empty; mount it, or set its path anew")


class SourceInput:
    """Rows of the listing, decoded from their files.

    Raises:
        SourceError: a source's folder is not there, now or later: an unmounted disk must not become a thousand unreadable
            samples.
    """

    def __init__(self, task: UnitTask, source: SourceSlice) -> None:
        self._task, self._source = task, source
        self._decoders: dict[str, Decoder] = {}
        self.places = range(len(source.rows))
        for name, how in sorted(source.decoding.items()):
            _must_be_there(name, how.root)
            self._decoders[name] = Decoder(*how)

    def load(self, position: int) -> Loaded:
        """Decode one image or frame; what cannot be decoded becomes a reject."""
        source = self._source.rows[position]
        if position in self._source.gone:
            return self.skip(position, Reject(Reason.GONE, "its file is not in the source any more"))
        if source.is_blank:
            return self.skip(position, Reject(Reason.RETRACTED))
        decoder = self._decoders[source.dataset]
        try:
            image, values = decoder.read(source)
        except SampleError as error:
            if error.reason is Reason.UNREADABLE:
                _must_be_there(source.dataset, self._source.decoding[source.dataset].root)
            return self.skip(position, Reject(error.reason, error.detail))
        except Exception as error:
            reason = Reason.OUT_OF_MEMORY if is_out_of_memory(error) else Reason.CORRUPT
            return self.skip(position, Reject(reason, one_line(error)))
        row = self._row(position, source, values)
        slot = position % self._task.batch
        known = {**(row.provenance or {}), **values}
        nearby = decoder.nearby(source, values)
        sample = Sample(row.sample_id, row.seed, slot, {"image": image}, values=known, nearby=nearby)
        return Loaded(row, position, sample)

    def skip(self, position: int, reject: Reject) -> Loaded:
        """The row rejected without touching its file."""
        return Loaded(self._row(position, self._source.rows[position], {}), position, reject)

    def _row(self, position: int, source: SourceRow, values: Mapping[str, Scalar]) -> Row:
        provenance: dict[str, Scalar] = {"dataset": source.dataset}
        if not source.is_blank:
            provenance = {column.name: values.get(column.name, getattr(source, column.name, None)) for column in PROVENANCE}
        seed = sample_seed(self._task.run_seed, self._task.key.stage, source.sample_id)
        return Row(source.sample_id, position, seed, 0, (), provenance)

    def close(self) -> None:
        """Let go of the decoders and the video they hold."""
        self._decoders.clear()


class UpstreamInput:
    """The ok rows of each lane's primary, with what the other upstream stages made of them."""

    def __init__(self, task: UnitTask) -> None:
        self._task = task
        self._inputs = Upstream(task)
        planned: dict[int, tuple[int, dict[str, Scalar]]] = {}
        for lane, reads in enumerate(task.lanes):
            for row in self._inputs.rows(reads[0].stage):
                if row["status"] == "ok":
                    planned[self._place(lane, row)] = (lane, row)
        keys = Counter((row["row"], row["variant"]) for _, row in planned.values())
        if twice := next((key for key, count in keys.items() if count > 1), None):
            raise StoreError(
                f"{task.key.stage} unit {task.key.unit}: two of its lanes have a variant {twice[1]} of row {twice[0]}; let the "
                "roster of one of them number its variants from another number on"
            )
        self.places = sorted(planned)
        self._planned = [planned[place] for place in self.places]
        self._refused = self._not_taken()

    def _not_taken(self) -> dict[tuple[str, int], str]:
        """Sample and variant of the rows that the stage's configuration does not take, and why."""
        store, config = self._task.row_sets, self._task.config
        if store is None or not asks(config):
            return {}
        known = [self._inputs.known(self._task.lanes[lane], row) for lane, row in self._planned]
        return refused(config, store, known, self._inputs.schema())

    def _place(self, lane: int, row: Mapping[str, Scalar]) -> int:
        """Rank among all that might have come: rejects leave their places empty, so that nobody else moves.

        Variants follow what was photographed, a unit's length on, those of several lanes in turn.
        """
        if row["variant"] == 0:
            return int(str(row["row"]))
        drawn, others = self._inputs.place(self._task.lanes[lane], row), len(self._task.lanes) - 1
        return self._task.unit_rows + drawn * others + lane - 1 if others else drawn

    def load(self, position: int) -> Loaded:
        """Read one row's images, arrays, bytes and columns; a row that another upstream stage rejected inherits the reason."""
        lane, stored = self._planned[position]
        row, place = self._row(stored), self.places[position]
        if (row.sample_id, row.variant) in self._task.delivered:
            return Loaded(row, place, Reject(Reason.DUPLICATE, "an earlier unit delivers it"))
        if why := self._refused.get((row.sample_id, row.variant)):
            return Loaded(row, place, Reject(Reason.NOT_SELECTED, why))
        sample = Sample(
            row.sample_id, row.seed, place % self._task.batch, values=dict(row.provenance or {}), variant=row.variant
        )
        reject = self._inputs.fill(sample, self._task.lanes[lane], stored)
        return Loaded(row, place, reject or sample)

    def skip(self, position: int, reject: Reject) -> Loaded:
        """The row rejected without touching upstream's payloads."""
        return Loaded(self._row(self._planned[position][1]), self.places[position], reject)

    def _row(self, stored: Mapping[str, Scalar]) -> Row:
        provenance = {column.name: stored.get(column.name) for column in PROVENANCE}
        sample_id, variant = str(stored["sample_id"]), int(str(stored["variant"]))
        seed = sample_seed(self._task.run_seed, self._task.key.stage, sample_id, variant)
        parents = stored["parent_ids"]
        return Row(
            sample_id,
            int(str(stored["row"])),
            seed,
            variant,
            tuple(map(str, parents)) if isinstance(parents, list) else (),
            provenance,
        )

    def close(self) -> None:
        """Close the upstream units."""
        self._inputs.close()


class RosterInput:
    """The entries of the stage's roster, each with what upstream made of its face and of its guide."""

    def __init__(self, task: UnitTask) -> None:
        self._task = task
        self._inputs = Upstream(task)
        self._entries = read_roster(task.folder, task.key.unit)
        self.places = [int(str(entry["place"])) for entry in self._entries]

    def load(self, position: int) -> Loaded:
        """Read the face and its guide; an entry with a reason is rejected unseen."""
        entry = self._entries[position]
        row, place = self._row(entry), self.places[position]
        if entry["reason"] is not None:
            return Loaded(row, place, Reject(Reason(str(entry["reason"])), str(entry["detail"] or "")))
        own = {name: value for name, value in entry.items() if name not in _OF_ROSTERS} | {"place": place}
        sample = Sample(
            row.sample_id, row.seed, place % self._task.batch, values={**(row.provenance or {}), **own}, variant=row.variant
        )
        reject = self._inputs.fill(sample, self._task.lanes[0], entry)
        return Loaded(row, place, reject or sample)

    def skip(self, position: int, reject: Reject) -> Loaded:
        """The entry rejected without touching upstream's payloads."""
        return Loaded(self._row(self._entries[position]), self.places[position], reject)

    def _row(self, entry: Mapping[str, Scalar]) -> Row:
        number, variant = int(str(entry["row"])), int(str(entry["variant"]))
        parents = entry["parent_ids"] if isinstance(entry["parent_ids"], list) else []
        sample_id = str(parents[0])
        seed = sample_seed(self._task.run_seed, self._task.key.stage, sample_id, variant)
        provenance = {column.name: entry.get(column.name) for column in PROVENANCE}
        return Row(sample_id, number, seed, variant, tuple(map(str, parents)), provenance)

    def close(self) -> None:
        """Close the upstream units."""
        self._inputs.close()


_OF_ROSTERS = {column.name for column in (*IDENTITY, *PROVENANCE)}


class Crumb(Protocol):
    """Where a worker in quarantine leaves word of the rows it has in hand, by their places."""

    def __call__(self, rows: Sequence[int]) -> None:
        """Record ``rows``; what was recorded before no longer holds."""
        ...


class Limit(Protocol):
    """Ends what takes longer than so many samples may."""

    def __call__(self, samples: int, spent: float = 0.0) -> AbstractContextManager[None]:
        """The context in which ``samples`` are worked on; ``spent`` seconds of their time are used up already."""
        ...


def batches(
    unit: UnitInput,
    batch: int,
    excluded: Mapping[int, Reject],
    crumb: Crumb | None = None,
    limit: Limit = lambda samples, spent=0.0: nullcontext(),
) -> Iterator[list[Loaded]]:
    """The unit's rows, loaded, a batch at a time: rows with equal ``place // batch``.

    Args:
        unit: the rows.
        batch: samples a call.
        excluded: rejects of rows that are not to be touched, by place.
        crumb: is told which row is in hand.
        limit: watches each row's loading.
    """
    group: list[Loaded] = []
    for position, number in enumerate(unit.places):
        if group and number // batch != group[0].place // batch:
            yield group
            group = []
        if number in excluded:
            group.append(unit.skip(position, excluded[number]))
            continue
        if crumb:
            crumb((number,))
        with limit(1):
            loaded = unit.load(position)
        group.append(loaded)
    if group:
        yield group


def loaded_bytes(group: Sequence[Loaded]) -> int:
    """Bytes of images, arrays and files that a loaded batch holds."""
    total = 0
    for loaded in group:
        if isinstance(loaded.sample, Sample):
            total += sum(array.nbytes for array in loaded.sample.images.values())
            total += sum(array.nbytes for array in loaded.sample.arrays.values())
            total += sum(cue.array.nbytes for cue in loaded.sample.cues.values())
            total += sum(len(data) for data in loaded.sample.files.values())
    return total
