"""Every sample of a store, a column each thing that is known of it: what the morning report is drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.report.pictures import Place
from fasgen.audit.stage_rows import StageRows, read_stages, schema_of
from fasgen.errors import StoreError
from fasgen.manifests.plan_file import latest
from fasgen.manifests.products import products
from fasgen.manifests.schema import COMMON
from fasgen.records import Status

if TYPE_CHECKING:
    import pyarrow as pa

STATUSES = tuple(status.value for status in Status)

KINDS = ("photographed", "made", "not made")
"""What a sample is: a photograph, a picture that was made of one, or one that was to be made and came to nothing."""

FACETS = ("label", "dataset", "attack_type", "domain", "subject", "style_subject", "split", "licence", "device")
"""Columns of provenance that a reader filters and groups by."""

_PSEUDO = "subject_is_pseudo"
_READ = (_PSEUDO, "sample_id", "variant", "parent_ids", "row", "status", "reason", "detail", "seed", "member", "payload_digest")
_NONE = -1


@dataclass(frozen=True)
class Score:
    """A column of real numbers that some stage wrote.

    Attributes:
        name: column name; with its stage in front where stages give one sample different values under one name.
        stages: stages that wrote it.
        doc: what it holds.
        unit: physical unit or range.
        higher: what a higher value tells, as its stage declares: ``live``, ``spoof``, ``better``, ``worse``; empty where the
            column is a figure and no score.
        values: one a sample, float32, NaN where there is none.
    """

    name: str
    stages: list[str]
    doc: str
    unit: str
    higher: str
    values: NDArray[np.float32]


@dataclass
class Samples:
    """The samples of a store's newest generations, in the order in which they were met.

    Attributes:
        stages: the generations' rows, in order.
        ids: sample id by sample.
        variants: int32, 0 for what was photographed.
        numbers: by stage, the sample that each row of its table is about (int64).
        rows: by stage, each sample's row in its table, -1 for none (int64).
        units: by stage, the unit of each row of its table.
        indices: by stage, each row's ``array_index``, -1 where it has no product.
        facets: by column of provenance, one text or None a sample.
        paths: path inside the source, by sample.
        frames: frame of a video, or None.
        parents: samples that each one was made from, as far as they are in the store; the face's own first, then its guides.
        absent: by sample, the names of those that are not.
        pseudo: whether the subject stands for a clip or picture and is no person, by sample.
        kinds: index into ``KINDS`` (uint8).
        scores: all scores.
        ended: index of the stage after which nothing came (int32).
        status: what became of the sample there, an index into ``STATUSES`` (uint8).
    """

    stages: list[StageRows]
    ids: list[str] = field(default_factory=list)
    variants: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    numbers: list[NDArray[np.int64]] = field(default_factory=list)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    units: list[NDArray[np.int32]] = field(default_factory=list)
    indices: list[NDArray[np.int32]] = field(default_factory=list)
    facets: dict[str, list[str | None]] = field(default_factory=dict)
    paths: list[str | None] = field(default_factory=list)
    frames: list[int | None] = field(default_factory=list)
    parents: list[list[int]] = field(default_factory=list)
    absent: dict[int, list[str]] = field(default_factory=dict)
    pseudo: list[bool] = field(default_factory=list)
    kinds: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    scores: list[Score] = field(default_factory=list)
    ended: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    status: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __len__(self) -> int:
        return len(self.ids)

    def key(self, sample: int) -> str:
        """The sample's name: its id, and its variant where that is not 0."""
        variant = int(self.variants[sample])
        return f"{self.ids[sample]}-{variant}" if variant else self.ids[sample]

    def places(self, sample: int) -> list[Place]:
        """Where the sample's products lie, stages in order."""
        return [place for stage in range(len(self.stages)) if (place := self._place(stage, sample)) is not None]

    def _place(self, stage: int, sample: int) -> Place | None:
        row = int(self.rows[stage][sample])
        if row < 0:
            return None
        index = int(self.indices[stage][row])
        if index < 0:
            return None
        unit = int(self.units[stage][row])
        return Place(self.stages[stage].stage, unit, self.ids[sample], int(self.variants[sample]), index)

    def rejects(self) -> Iterator[tuple[int, int, str, str]]:
        """Sample, stage, reason and detail of every sample that ended without a product, stages in order."""
        for number, stage in enumerate(self.stages):
            mine = self.numbers[number]
            lost = np.nonzero((self.ended[mine] == number) & (self.status[mine] != 0))[0]
            found = stage.table.select(["reason", "detail"]).take(lost)
            for row, reason, detail in zip(lost, found["reason"].to_pylist(), found["detail"].to_pylist(), strict=True):
                yield int(mine[row]), number, reason or "", detail or ""


def collect(store: Path) -> Samples:
    """Read the newest generation of every stage.

    Raises:
        StoreError: nothing is committed yet, or a manifest or plan is damaged.
    """
    stages = read_stages(latest(store), _columns)
    if not stages:
        raise StoreError(f"{store}: has no committed unit yet: `fasgen run` makes them")
    samples = Samples(stages)
    _identify(samples)
    _provenance(samples)
    _fates(samples)
    _parents(samples)
    _scores(samples)
    return samples


def _columns(schema: pa.Schema) -> list[str]:
    wanted = {*_READ, *FACETS, "path", "frame", "unit", "array_index", *_score_names(schema)}
    return [name for name in schema.names if name in wanted]


def _score_names(schema: pa.Schema) -> list[str]:
    import pyarrow as pa

    common = {column.name for column in COMMON}
    return [one.name for one in schema if one.name not in common and pa.types.is_floating(one.type)]


def _identify(samples: Samples) -> None:
    import pyarrow.compute as pc

    known: dict[tuple[str, int], int] = {}
    for stage in samples.stages:
        keys = zip(stage.table["sample_id"].to_pylist(), stage.table["variant"].to_pylist(), strict=True)
        samples.numbers.append(np.fromiter((known.setdefault(key, len(known)) for key in keys), np.int64, len(stage.table)))
        samples.units.append(stage.table["unit"].to_numpy())
        samples.indices.append(pc.fill_null(stage.table["array_index"], _NONE).to_numpy())
    samples.ids = [sample_id for sample_id, _ in known]
    samples.variants = np.fromiter((variant for _, variant in known), np.int32, len(known))
    for stage, numbers in zip(samples.stages, samples.numbers, strict=True):
        rows = np.full(len(known), _NONE, np.int64)
        rows[numbers] = np.arange(len(stage.table))
        samples.rows.append(rows)


def _provenance(samples: Samples) -> None:
    """Each sample's provenance, from the first stage that has a row of it."""
    columns: dict[str, list[Any]] = {name: [None] * len(samples) for name in (*FACETS, _PSEUDO, "path", "frame")}
    seen = np.zeros(len(samples), bool)
    for stage, numbers in zip(samples.stages, samples.numbers, strict=True):
        new = np.nonzero(~seen[numbers])[0]
        seen[numbers] = True
        if not len(new):
            continue
        taken = stage.table.take(new)
        places = numbers[new].tolist()
        for name, column in columns.items():
            # Stores from before a column was there lack it.
            if name not in taken.column_names:
                continue
            for place, value in zip(places, taken[name].to_pylist(), strict=True):
                column[place] = value
    samples.paths, samples.frames = columns.pop("path"), columns.pop("frame")
    samples.pseudo = list(map(bool, columns.pop(_PSEUDO)))
    samples.facets = columns


def _fates(samples: Samples) -> None:
    """Where each sample ended: at the first stage that turned it away, else at the last that has it; and what it is.

    One that is to be made begins with the stage that makes it: turned away there, it was never made.
    """
    samples.ended = np.full(len(samples), _NONE, np.int32)
    samples.status = np.zeros(len(samples), np.uint8)
    samples.kinds = np.where(samples.variants > 0, 1, 0).astype(np.uint8)
    met = np.zeros(len(samples), bool)
    code = {name: number for number, name in enumerate(STATUSES)}
    for number, (stage, mine) in enumerate(zip(samples.stages, samples.numbers, strict=True)):
        # A status that is none of the three can only be written by another hand; verify names it, and here it failed.
        status = np.array([code.get(name, 2) for name in stage.table["status"].to_pylist()], np.uint8)
        going = samples.status[mine] == 0
        samples.ended[mine[going]] = number
        samples.status[mine[going]] = status[going]
        unmade = ~met[mine] & (samples.kinds[mine] == 1) & (status != 0)
        samples.kinds[mine[unmade]] = 2
        met[mine] = True


def _parents(samples: Samples) -> None:
    samples.parents = [[] for _ in samples.ids]
    plain = {sample_id: number for number, sample_id in enumerate(samples.ids) if samples.variants[number] == 0}
    keys = {samples.key(number): number for number in np.nonzero(samples.variants)[0].tolist()} | plain
    for stage, numbers in zip(samples.stages, samples.numbers, strict=True):
        for number, above in zip(numbers.tolist(), stage.table["parent_ids"].to_pylist(), strict=True):
            for parent in above or ():
                found = keys.get(parent)
                if found is None:
                    absent = samples.absent.setdefault(number, [])
                    if parent not in absent:
                        absent.append(parent)
                elif found != number and found not in samples.parents[number]:
                    samples.parents[number].append(found)
    subject = samples.facets["subject"]
    for number in np.nonzero(samples.variants)[0].tolist():
        own = plain.get(samples.ids[number])
        above = samples.parents[number]
        if own is not None:
            above[:] = [own, *(one for one in above if one != own)]
        else:
            above.sort(key=lambda one: (samples.facets["label"][one] != "live", subject[one] != subject[number]))


def _scores(samples: Samples) -> None:
    found: dict[str, Score] = {}
    docs: dict[str, dict[str, list[str]]] = {}
    for stage, numbers in zip(samples.stages, samples.numbers, strict=True):
        schema = schema_of(stage.folder)
        if schema is None:
            continue
        tells = products(stage.plan).scores
        for name in _score_names(schema):
            values = np.full(len(samples), np.nan, np.float32)
            values[numbers] = stage.table[name].to_numpy(zero_copy_only=False)
            there = ~np.isnan(values)
            metadata = {key.decode(): value.decode() for key, value in (schema.field(name).metadata or {}).items()}
            doc = metadata.get("doc", "")
            old = found.get(name)
            if old is not None:
                both = there & ~np.isnan(old.values)
                if np.array_equal(old.values[both], values[both]):
                    old.values[there] = values[there]
                    old.stages.append(stage.stage)
                    docs[name].setdefault(doc, []).append(stage.stage)
                    continue
            label = f"{stage.stage}.{name}" if old is not None else name
            unit = metadata.get("unit", "")
            docs[label] = {doc: [stage.stage]}
            found[label] = Score(label, [stage.stage], doc, unit, tells.get(name, ""), values)
    for label, told in docs.items():
        # One name may stand for two things: of a face and its reconstruction here, of a spoof and its face there.
        if len(told) > 1:
            doc = "; ".join(f"{', '.join(stages)}: {doc}" for doc, stages in told.items())
            found[label] = replace(found[label], doc=doc)
    samples.scores = [score for score in found.values() if np.isfinite(score.values).any()]


def worst_first(score: Score, among: Sequence[int] | None = None) -> list[int]:
    """Samples with a finite value, the worst first: the highest, unless higher is better or more like a live face."""
    values = score.values.astype(np.float64)
    chosen = np.nonzero(np.isfinite(values))[0]
    if among is not None:
        chosen = np.intersect1d(chosen, np.asarray(among, np.int64))
    order = np.argsort(values[chosen] if score.higher in ("better", "live") else -values[chosen], kind="stable")
    return [int(number) for number in chosen[order]]
