"""What differs between two generations, or between the newest generations of two stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.stage_rows import StageRows, read_stages, take
from fasgen.errors import StoreError
from fasgen.manifests.plan_file import Generation, generations, latest
from fasgen.manifests.schema import COMMON
from fasgen.manifests.unit import member_key
from fasgen.records import PROVENANCE

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("sample_id", "variant", "status", "reason", "payload_digest")
_KNOWN = frozenset(column.name for column in PROVENANCE)


@dataclass(frozen=True)
class ScoreChange:
    """How a column of real numbers moved over the samples that both sides have.

    Attributes:
        name: column.
        changed: samples with another value, or with one on one side only.
        mean: mean of second less first, over samples with both.
        largest: largest absolute difference.
        sample: the sample that has it.
    """

    name: str
    changed: int
    mean: float
    largest: float
    sample: str


@dataclass(frozen=True)
class LabelChange:
    """How what is known of samples differs over those that both sides have: where they come from, whom and what they show.

    Attributes:
        name: column of their provenance.
        changed: samples with another value.
        first: the value of the first such sample, as text.
        second: what the second side has in its place.
        sample: that sample.
    """

    name: str
    changed: int
    first: str
    second: str
    sample: str


@dataclass
class StageDiff:
    """One stage on both sides.

    Attributes:
        stage: stage name.
        first: its generation on the first side; None where it is not there.
        second: on the second.
        rows: rows on either side.
        added: samples that only the second has.
        lost: samples that only the first has.
        status: sample to what it was and what it became, with reasons.
        bytes: samples whose product has other bytes.
        scores: columns of real numbers that moved.
        labels: columns of their provenance that differ; no plan says which labels rows have.
        settings: dotted setting to its two values, as far as the plans differ.
    """

    stage: str
    first: str | None
    second: str | None
    rows: tuple[int, int] = (0, 0)
    added: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    status: dict[str, tuple[str, str]] = field(default_factory=dict)
    bytes: list[str] = field(default_factory=list)
    scores: list[ScoreChange] = field(default_factory=list)
    labels: list[LabelChange] = field(default_factory=list)
    settings: dict[str, tuple[object, object]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether both sides have the same rows, bytes, scores and labels; settings do not count."""
        there = self.first is not None and self.second is not None
        return there and not (self.added or self.lost or self.status or self.bytes or self.scores or self.labels)


def side(path: Path) -> list[Generation]:
    """What a path names: one generation, or the newest generation of every stage of a store.

    Raises:
        StoreError: it is neither.
    """
    if path.is_dir() and path.parent.is_dir():
        one = [generation for generation in generations(path.parent) if generation.folder.name == path.name]
        if one:
            return one
    found = latest(path)
    if not found:
        raise StoreError(f"{path}: is neither a store with something in it nor the folder of one stage's generation")
    return found


def compare(first: list[Generation], second: list[Generation]) -> list[StageDiff]:
    """Stage by stage, in order.

    Raises:
        StoreError: a manifest or plan is damaged.
    """
    left = {stage.stage: stage for stage in read_stages(first, _wanted)}
    right = {stage.stage: stage for stage in read_stages(second, _wanted)}
    return [_stage(name, left.get(name), right.get(name)) for name in {**left, **right}]


def _wanted(schema: pa.Schema) -> list[str]:
    import pyarrow as pa

    common = {column.name for column in COMMON}
    floats = {one.name for one in schema if one.name not in common and pa.types.is_floating(one.type)}
    return [name for name in schema.names if name in _COLUMNS or name in _KNOWN or name in floats]


def _keys(stage: StageRows | None) -> dict[str, int]:
    if stage is None:
        return {}
    names = zip(stage.table["sample_id"].to_pylist(), stage.table["variant"].to_pylist(), strict=True)
    return {member_key(sample_id, variant): place for place, (sample_id, variant) in enumerate(names)}


def _stage(name: str, left: StageRows | None, right: StageRows | None) -> StageDiff:
    diff = StageDiff(name, left.folder.name if left else None, right.folder.name if right else None)
    mine, yours = _keys(left), _keys(right)
    diff.rows = len(mine), len(yours)
    diff.added = [key for key in yours if key not in mine]
    diff.lost = [key for key in mine if key not in yours]
    if left is None or right is None:
        return diff
    both = [key for key in mine if key in yours]
    a, b = take(left.table, (mine[key] for key in both)), take(right.table, (yours[key] for key in both))
    _fates(diff, both, a, b)
    common = [column for column in a.column_names if column in b.column_names]
    for column in common:
        if column in _KNOWN and not a[column].equals(b[column]):
            diff.labels.append(_relabelled(column, both, a[column].to_pylist(), b[column].to_pylist()))
    for column in common:
        if column in _COLUMNS or column in _KNOWN:
            continue
        change = _moved(column, both, a[column].to_numpy(zero_copy_only=False), b[column].to_numpy(zero_copy_only=False))
        if change:
            diff.scores.append(change)
    diff.settings = settings_changed(left.plan, right.plan)
    return diff


def _fates(diff: StageDiff, both: list[str], a: pa.Table, b: pa.Table) -> None:
    columns = [table[name].to_pylist() for table in (a, b) for name in ("status", "reason", "payload_digest")]
    for key, was, why, bytes_then, became, because, bytes_now in zip(both, *columns, strict=True):
        if (was, why) != (became, because):
            diff.status[key] = (f"{was} {why}" if why else was, f"{became} {because}" if because else became)
        elif bytes_then != bytes_now:
            diff.bytes.append(key)


def _relabelled(name: str, keys: list[str], before: list[Any], after: list[Any]) -> LabelChange:
    other = [place for place, (was, now) in enumerate(zip(before, after, strict=True)) if was != now]
    return LabelChange(name, len(other), str(before[other[0]]), str(after[other[0]]), keys[other[0]])


def _moved(name: str, keys: list[str], before: NDArray[Any], after: NDArray[Any]) -> ScoreChange | None:
    x, y = before.astype(np.float64), after.astype(np.float64)
    changed = ~((x == y) | (np.isnan(x) & np.isnan(y)))
    if not changed.any():
        return None
    delta = np.where(np.isnan(x) | np.isnan(y), 0.0, y - x)
    both = ~(np.isnan(x) | np.isnan(y))
    most = int(np.argmax(np.abs(delta)))
    return ScoreChange(
        name, int(changed.sum()), float(delta[both].mean()) if both.any() else 0.0, float(abs(delta[most])), keys[most]
    )


def settings_changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[object, object]]:
    """Dotted setting to its two values, as far as two plans differ; version, weights, seed and batch are among them."""
    return dict(_settings(_plain(first), _plain(second)))


def _plain(plan: Mapping[str, Any]) -> dict[str, object]:
    return dict(_flat("", {name: plan.get(name) for name in ("version", "config", "weights", "seed", "unit_rows", "batch")}))


def _flat(prefix: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), item)
    else:
        yield prefix, value


def _settings(a: Mapping[str, object], b: Mapping[str, object]) -> Iterator[tuple[str, tuple[object, object]]]:
    for name in sorted({*a, *b}):
        if a.get(name) != b.get(name):
            yield name, (a.get(name), b.get(name))
