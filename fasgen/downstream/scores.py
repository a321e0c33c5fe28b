"""Tables of scores: what a trainer writes and ``fasgen eval`` reads, as CSV or Parquet."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fasgen.csv_reader import read_csv
from fasgen.errors import SourceError
from fasgen.selection.row_sets import DEV, TEST, RowSet
from fasgen.selection.selection import passing

if TYPE_CHECKING:
    import pyarrow as pa

REQUIRED = ("label", "score")
_LABELS = {"live": 1, "1": 1, "1.0": 1, "true": 1, "spoof": 0, "0": 0, "0.0": 0, "false": 0}
_UNKNOWN = frozenset({"", "unknown", "-1", "none", "nan"})


@dataclass(frozen=True, slots=True)
class Score:
    """One scored sample.

    Attributes:
        sample: its id.
        label: 1 live, 0 spoof.
        score: higher is more live.
        video: what video-level scores are averaged over; by default the sample itself.
        attack_type: presentation attack instrument; empty for live.
        split: ``dev`` rows set thresholds, all others but ``train`` are tested.
        dataset: name of the data set.
        method, protocol, seed: which experiment the score belongs to; empty where the file does not say.
        subject: who is seen, as a bootstrap draws whole people; empty where nobody knows.
        step: of the training after which the sample was scored, a whole number; empty where the file has one score a sample.
    """

    sample: str
    label: int
    score: float
    video: str = ""
    attack_type: str = ""
    split: str = ""
    dataset: str = ""
    method: str = ""
    protocol: str = ""
    seed: str = ""
    subject: str = ""
    step: str = ""


COLUMNS = tuple(field.name for field in fields(Score))


class ScoreTable:
    """Scores by column.

    Args:
        rows: the scores.
        unscored: rows of the file that say by a ``reason`` why they have no score.
    """

    def __init__(self, rows: Iterable[Score], unscored: int = 0) -> None:
        self.rows, self.unscored = tuple(rows), unscored
        self.labels = np.array([row.label for row in self.rows], np.int64)
        self.scores = np.array([row.score for row in self.rows], np.float64)
        # A video's name need only be unique within its data set.
        self.videos = np.array([f"{row.dataset}/{row.video or row.sample}" for row in self.rows], np.str_)
        self.people = np.array([f"{row.dataset}/{row.subject or row.video or row.sample}" for row in self.rows], np.str_)
        self.attacks = np.array(["" if row.label else row.attack_type for row in self.rows], np.str_)

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, **wanted: str) -> ScoreTable:
        """Rows whose columns have these values."""
        return ScoreTable(row for row in self.rows if all(getattr(row, name) == value for name, value in wanted.items()))

    def without(self, *splits: str) -> ScoreTable:
        """Rows of all splits but these."""
        return ScoreTable(row for row in self.rows if row.split not in splits)

    def values(self, column: str) -> list[str]:
        """The values of a column, in the order in which they first appear."""
        return list(dict.fromkeys(str(getattr(row, column)) for row in self.rows))


def under(table: ScoreTable, rows: RowSet) -> tuple[ScoreTable, dict[str, int]]:
    """The scores of the samples that a protocol tests, and of its dev, by sample id; and what is not there, or left out.

    Raises:
        SourceError: no tested sample has a score.
    """
    sides = {sample: side for side in (DEV, TEST) for sample, variant in rows.sides[side] if not variant}
    kept = [replace(row, split=sides[row.sample], protocol=rows.name) for row in table.rows if row.sample in sides]
    scored = {row.sample for row in kept}
    missing = {side: sum(one == side and sample not in scored for sample, one in sides.items()) for side in (DEV, TEST)}
    if not any(row.split == TEST for row in kept):
        raise SourceError(
            f"no score is of a sample that {rows.name} tests: the column sample must hold the ids of the store's samples"
        )
    told = {f"{side} samples of {rows.name} have no score": count for side, count in missing.items()}
    told[f"scores are of samples that {rows.name} does not test"] = len({row.sample for row in table.rows} - set(sides))
    return ScoreTable(kept), {what: count for what, count in told.items() if count}


def passing_scores(table: ScoreTable, where: str) -> ScoreTable:
    """The scores that pass a filter over their columns.

    Raises:
        FilterError: it is no filter, or names another column.
        SourceError: none passes.
    """
    import pyarrow as pa

    columns = pa.table({name: [getattr(row, name) for row in table.rows] for name in COLUMNS})
    kept = [row for row, passes in zip(table.rows, passing(columns, where), strict=True) if passes]
    if not kept:
        raise SourceError(f"no score passes {where!r}: its columns are {', '.join(COLUMNS)}")
    return ScoreTable(kept)


def read_scores(path: Path) -> ScoreTable:
    """Read a file of scores.

    The columns are those of `Score`; ``label`` and ``score`` must be there. A label is 1, 0, live or spoof; rows whose label is
    not known are left out, those with a reason in place of a score are counted. Columns of other names are passed over.

    Raises:
        SourceError: the file cannot be read, a column is missing, or a value is wrong; names file and row.
    """
    records = _parquet(path) if path.suffix.lower() in {".parquet", ".pq"} else _csv(path)
    unscored = sum(_unscored(record) for record in records)
    table = ScoreTable(
        (
            row
            for number, record in enumerate(records, 2)
            if not _unscored(record) and (row := _row(record, f"{path}, row {number}", number))
        ),
        unscored,
    )
    if not len(table):
        raise SourceError(f"{path}: no row has a label and a score")
    return table


def table_of(rows: pa.Table, where: str) -> ScoreTable:
    """Scores of a store's rows: sample_id, label, score, dataset, path, frame, video, attack_type, split and subject.

    Frames of one path are a video, and so are stills of one ``video``.

    Raises:
        SourceError: no row has a label and a score.
    """
    found = [
        _row(
            {**one, "sample": one["sample_id"], "video": one["video"] if one["frame"] is None else one["path"]},
            f"{where}, {one['sample_id']}",
            number,
        )
        for number, one in enumerate(rows.to_pylist())
    ]
    table = ScoreTable(one for one in found if one)
    if not len(table):
        raise SourceError(f"{where}: no row is labelled live or spoof")
    return table


def write_scores(path: Path, rows: Sequence[Score]) -> None:
    """Write ``rows`` as Parquet or, for any other suffix, as CSV; put in place when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    if path.suffix.lower() in {".parquet", ".pq"}:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({name: [getattr(row, name) for row in rows] for name in COLUMNS}), new)
    else:
        with new.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([repr(v) if isinstance(v := getattr(row, name), float) else v for name in COLUMNS] for row in rows)
    new.replace(path)


def _csv(path: Path) -> list[Mapping[str, Any]]:
    try:
        return list(read_csv(path, REQUIRED))
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read as CSV: {error}") from None


def _parquet(path: Path) -> list[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read as Parquet: {error}") from None
    _check(path, table.column_names)
    rows: list[Mapping[str, Any]] = table.select([name for name in COLUMNS if name in table.column_names]).to_pylist()
    return rows


def _check(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise SourceError(f"{path}: has no column {' or '.join(missing)}; its columns are: {', '.join(names) or 'none'}")


def _unscored(record: Mapping[str, Any]) -> bool:
    return bool(_text(record.get("reason"))) and not _text(record.get("score"))


def _row(record: Mapping[str, Any], where: str, number: int) -> Score | None:
    word = _text(record.get("label")).lower()
    if word in _UNKNOWN:
        return None
    if word not in _LABELS:
        raise SourceError(f"{where}: label is {word!r}; wanted is 1 or live, 0 or spoof")
    try:
        score = float(record["score"])
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise SourceError(f"{where}: score is {record['score']!r}, a finite number is needed")
    rest = {name: _text(record.get(name)) for name in COLUMNS[3:]}
    if rest["step"] and not rest["step"].isdecimal():
        raise SourceError(f"{where}: step is {rest['step']!r}, a whole number is needed, or nothing")
    return Score(_text(record.get("sample")) or str(number), _LABELS[word], score, **rest)


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()
