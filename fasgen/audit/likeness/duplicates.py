"""The leak report: the same file, picture or person on two sides of a split, or in two data sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.likeness.hamming import near_pairs
from fasgen.audit.likeness.people import mean_embeddings, similar_pairs
from fasgen.errors import StoreError
from fasgen.manifests.parquet import concatenated, read_table
from fasgen.manifests.products import EMBEDDING, cutter, maker_of, units_of
from fasgen.manifests.unit import manifest_path

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("sample_id", "dataset", "path", "frame", "subject", "label", "split", "phash", "source_sha256", "video")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows, or for the same person one row of each of two subjects.

    Attributes:
        kind: ``same file``, ``near picture`` or ``same person``.
        one, other: ``data set: path``, with ``#frame`` of a video.
        subjects: theirs; None where unknown.
        sides: theirs; None where they are on none.
        distance: bits in which the perceptual hashes differ; None for people.
        similarity: cosine of the embeddings; None where there are none.
    """

    kind: str
    one: str
    other: str
    subjects: tuple[str | None, str | None]
    sides: tuple[str | None, str | None]
    distance: int | None
    similarity: float | None

    @property
    def leaks(self) -> bool:
        """On two different sides."""
        return None not in self.sides and self.sides[0] != self.sides[1]


@dataclass(frozen=True, slots=True)
class LeakReport:
    """What a store has twice.

    Attributes:
        rows: rows looked at.
        has_embeddings: whether near pictures were confirmed, and people compared, by identity.
        distance: most bits between near pictures.
        same_picture: least cosine at which a near picture counts.
        same_person: least cosine at which two subjects are one person.
        pairs: what was found: leaks first, then by kind and likeness.
    """

    rows: int
    has_embeddings: bool
    distance: int
    same_picture: float
    same_person: float
    pairs: tuple[Pair, ...]

    @property
    def leaks(self) -> tuple[Pair, ...]:
        """Pairs on two sides."""
        return tuple(pair for pair in self.pairs if pair.leaks)

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        counts = Counter(pair.kind for pair in self.pairs)
        return {
            "rows": self.rows,
            "has_embeddings": self.has_embeddings,
            "limits": {"distance": self.distance, "same_picture": self.same_picture, "same_person": self.same_person},
            "counts": dict(sorted(counts.items())),
            "leaks": dict(sorted(Counter(pair.kind for pair in self.leaks).items())),
            "pairs": [asdict(pair) | {"leaks": pair.leaks} for pair in self.pairs],
        }


def find_duplicates(
    store: Path,
    sides: Mapping[str, str] | None = None,
    distance: int = 6,
    same_picture: float = 0.7,
    same_person: float = 0.8,
) -> LeakReport:
    """Look for what a store has twice, over the newest crops of photographs and, where there are any, their embeddings.

    Files with equal SHA-256 are the same file. Rows of different files whose perceptual hashes differ in at most ``distance``
    bits are near pictures, if their embeddings agree as well. Subjects whose mean embeddings agree are the same person.

    Args:
        store: the store.
        sides: side by sample id; None: each row's split.
        distance: bits, 0 to 31.
        same_picture: least cosine of near pictures' embeddings.
        same_person: least cosine of two subjects' means. The network that ships gave 0.82 to 0.95 for one person under
            two names and up to 0.77 for two of 24 people; a better network allows less.

    Raises:
        StoreError: nothing is committed that was cut from the sources, or by a version that kept no hashes.
    """
    table = _crop_rows(store)
    vectors = _embeddings(store, table["sample_id"].to_pylist())
    rows = _Rows(table, sides)
    known = None if vectors is None else ~np.isnan(vectors[:, 0])
    copies = _same_files(rows)
    pairs = [rows.pair("same file", one, other, 0, None) for one, other in copies]
    twice = {frozenset((rows.file(one), rows.file(other))) for one, other in copies}
    found, bits = near_pairs(rows.hashes, rows.wholes, distance)
    cosines = np.full(len(found), np.nan, np.float32)
    if vectors is not None:
        cosines = np.einsum("ij,ij->i", vectors[found[:, 0]], vectors[found[:, 1]])
    best: dict[frozenset[str], Pair] = {}
    for (one, other), apart, cosine in zip(found.tolist(), bits.tolist(), cosines.tolist(), strict=True):
        names = frozenset((rows.file(one), rows.file(other)))
        if names in twice or cosine < same_picture:
            continue
        pair = rows.pair("near picture", one, other, apart, None if np.isnan(cosine) else round(cosine, 4))
        if names not in best or apart < (best[names].distance or 0):
            best[names] = pair
    pairs += best.values()
    if vectors is not None and known is not None:
        pairs += _same_people(rows, vectors, known, same_person)
    order = {"same file": 0, "near picture": 1, "same person": 2}
    pairs.sort(key=lambda p: (not p.leaks, order[p.kind], p.distance or 0, -(p.similarity or 0), p.one, p.other))
    return LeakReport(table.num_rows, vectors is not None, distance, same_picture, same_person, tuple(pairs))


class _Rows:
    """Columns of the crops as arrays and lists."""

    def __init__(self, table: pa.Table, sides: Mapping[str, str] | None) -> None:
        self.hashes: NDArray[np.uint64] = np.asarray(table["phash"].to_numpy(), np.uint64)
        self.digests: list[str | None] = table["source_sha256"].to_pylist()
        self.subjects: list[str | None] = table["subject"].to_pylist()
        self._frames: list[int | None] = table["frame"].to_pylist()
        self._names = [f"{d}: {p}" for d, p in zip(table["dataset"].to_pylist(), table["path"].to_pylist(), strict=True)]
        ids = table["sample_id"].to_pylist()
        self.sides: list[str | None] = [sides.get(one) for one in ids] if sides is not None else table["split"].to_pylist()
        numbers: dict[str, int] = {}
        # Frames that lie as stills are like each other, as those of a video file are.
        videos = zip(table["dataset"].to_pylist(), table["video"].to_pylist(), self._names, strict=True)
        wholes = [f"{dataset}: {video}/" if video else name for dataset, video, name in videos]
        self.wholes = np.array([numbers.setdefault(name, len(numbers)) for name in wholes], np.int64)

    def file(self, row: int) -> str:
        return self._names[row]

    def pair(self, kind: str, one: int, other: int, distance: int | None, similarity: float | None) -> Pair:
        frames = ["" if self._frames[row] is None else f"#{self._frames[row]}" for row in (one, other)]
        return Pair(
            kind,
            self._names[one] + frames[0],
            self._names[other] + frames[1],
            (self.subjects[one], self.subjects[other]),
            (self.sides[one], self.sides[other]),
            distance,
            similarity,
        )


def _same_files(rows: _Rows) -> list[tuple[int, int]]:
    """A row of every file with the bytes of one before it, behind a row of that one."""
    first: dict[str, int] = {}
    seen: set[str] = set()
    pairs: list[tuple[int, int]] = []
    for row, digest in enumerate(rows.digests):
        if digest is None or rows.file(row) in seen:
            continue
        seen.add(rows.file(row))
        original = first.setdefault(digest, row)
        if original != row:
            pairs.append((original, row))
    return pairs


def _same_people(rows: _Rows, vectors: NDArray[np.float32], known: NDArray[np.bool_], least: float) -> list[Pair]:
    numbers: dict[str, int] = {}
    of_row = np.array([-1 if name is None else numbers.setdefault(name, len(numbers)) for name in rows.subjects], np.int64)
    usable = known & (of_row >= 0)
    example = {int(of_row[row]): int(row) for row in np.flatnonzero(usable)[::-1]}
    means = mean_embeddings(vectors[usable], of_row[usable], len(numbers))
    found, cosines = similar_pairs(means, least)
    return [
        rows.pair("same person", example[one], example[other], None, round(cosine, 4))
        for (one, other), cosine in zip(found.tolist(), cosines.tolist(), strict=True)
    ]


def _crop_rows(store: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    units = units_of(cutter(store))
    if not units:
        raise StoreError(f"{store}: nothing that was cut from the sources is committed yet: fasgen run")

    def crops(folder: Path, unit: int) -> pa.Table:
        try:
            table = read_table(manifest_path(folder, unit), (*COLUMNS, "status"))
            return table.filter(pc.equal(table["status"], "ok")).select(list(COLUMNS))
        except (KeyError, pa.ArrowException):
            raise StoreError(f"{folder}: was made by a version that kept no hashes: run it again with this one") from None

    return concatenated(crops(*one) for one in units)


def _embeddings(store: Path, ids: list[str]) -> NDArray[np.float32] | None:
    """(N, D), a row of NaN where a photograph has none; None where there are none at all."""
    from fasgen.manifests.unit_reader import UnitReader

    place = {sample: row for row, sample in enumerate(ids)}
    vectors: NDArray[np.float32] | None = None
    for folder, unit in units_of(maker_of(store, EMBEDDING)):
        reader = UnitReader(folder, unit)
        for row in reader.rows:
            at = place.get(str(row["sample_id"]))
            if at is None or row["status"] != "ok" or row["variant"]:
                continue
            vector = reader.array(int(str(row["row"])), EMBEDDING)
            if vectors is None:
                vectors = np.full((len(ids), vector.shape[-1]), np.nan, np.float32)
            vectors[at] = vector
    return vectors
