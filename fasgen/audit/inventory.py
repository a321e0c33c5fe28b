"""What lies in a store's listings, counted a data set and split, beside what its authors state and what alignment found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fasgen.errors import SourceError, StoreError
from fasgen.manifests.parquet import read_table
from fasgen.manifests.products import cutter, units_of
from fasgen.manifests.sources_file import read_sources, source_names
from fasgen.manifests.unit import manifest_path
from fasgen.records import Reason
from fasgen.sources.adapters import open_table
from fasgen.sources.adapters.built_in import BUILT_IN
from fasgen.sources.adapters.table import Published

WHOLE = "all"
_COLUMNS = ("kind", "frame_k", "subject", "subject_is_pseudo", "label", "attack_family", "split", "video", "adapter")
_NO_FACE = {Reason.NO_FACE, Reason.LOW_SCORE, Reason.FACE_TOO_SMALL}


@dataclass
class Count:
    """One data set's split, or the whole of it.

    Attributes:
        dataset: name of the source.
        split: train, dev, test, ``-`` for files without one, or `WHOLE`.
        files: video files and stills.
        videos: video files, and videos that lie as stills.
        pictures: stills that are frames of none.
        frames: planned rows.
        subjects: people; clips and pictures that stand for people are not counted.
        pseudo: clips and pictures that stand for people.
        live: files.
        spoof: files.
        unknown: files without a label.
        families: spoof files by family.
        faceless: rows in which no usable face was found; None where it has not looked.
        published: the authors' counts; None where they are not known.
    """

    dataset: str
    split: str
    files: int = 0
    videos: int = 0
    pictures: int = 0
    frames: int = 0
    subjects: int = 0
    pseudo: int = 0
    live: int = 0
    spoof: int = 0
    unknown: int = 0
    families: Counter[str] = field(default_factory=Counter)
    faceless: int | None = None
    published: Published | None = None

    @property
    def differences(self) -> list[str]:
        """Where the counts are others than the published ones, in words; empty where they agree."""
        stated = self.published
        if stated is None:
            return []
        pairs = [
            ("files", self.files, stated.files),
            ("live", self.live, stated.live),
            ("spoof", self.spoof, stated.spoof),
            ("subjects", self.subjects, stated.subjects),
            *((family, self.families[family], count) for family, count in stated.families.items()),
        ]
        return [f"{found} {name} of {wanted}" for name, found, wanted in pairs if wanted is not None and found != wanted]


def inventory(store: Path) -> list[Count]:
    """Counts of every listed source: its splits, then the whole.

    Raises:
        StoreError: there is no listing, or one is damaged.
    """
    names = source_names(store)
    if not names:
        raise StoreError(f"{store}: lists no source yet: fasgen ingest NAME PATH, or fasgen run, writes one")
    faceless = _faceless(store)
    return [count for name in names for count in _counts(name, read_sources(store, name), faceless)]


def adapters() -> list[tuple[str, str, str]]:
    """Name, one line and licence of every built-in adapter."""
    return [(table.name, table.about, table.licence) for table in map(open_table, BUILT_IN)]


def _counts(name: str, table: Any, faceless: Mapping[str, Counter[str | None]] | None) -> Iterator[Count]:
    # Listings from before a column was there lack it.
    columns = [table.column(one).to_pylist() if one in table.column_names else [None] * table.num_rows for one in _COLUMNS]
    counts: dict[str, Count] = {}
    people: defaultdict[str, set[str]] = defaultdict(set)
    stand_ins: defaultdict[str, set[str]] = defaultdict(set)
    clips: defaultdict[str, set[str]] = defaultdict(set)
    for kind, frame, subject, pseudo, label, family, split, video in zip(*columns[:-1], strict=True):
        if kind is None:
            # Somebody who was taken out of the store: a place, and nothing else.
            continue
        for part in (split or "-", WHOLE):
            count = counts.setdefault(part, Count(name, part))
            count.frames += 1
            if subject:
                (stand_ins if pseudo else people)[part].add(subject)
            if frame in (None, 0):
                count.files += 1
                count.videos += kind == "video"
                count.pictures += kind != "video" and video is None
                if video is not None:
                    clips[part].add(video)
                count.live += label == "live"
                count.spoof += label == "spoof"
                count.unknown += label == "unknown"
                if label == "spoof":
                    count.families[family or "?"] += 1
    stated = _published(next(filter(None, columns[-1]), None))
    order = ["train", "dev", "test", "-", WHOLE]
    for part in sorted(counts, key=order.index):
        count = counts[part]
        count.subjects, count.pseudo = len(people[part]), len(stand_ins[part])
        count.videos += len(clips[part])
        count.published = stated.get(part)
        if faceless is not None and name in faceless:
            lost = faceless[name]
            count.faceless = sum(lost.values()) if part == WHOLE else lost[None if part == "-" else part]
        yield count


def _published(adapter: str | None) -> dict[str, Published]:
    if adapter not in BUILT_IN:
        return {}
    try:
        return {one.split or WHOLE: one for one in open_table(adapter).published}
    except SourceError:
        return {}


def _faceless(store: Path) -> dict[str, Counter[str | None]] | None:
    """Rows without a usable face by data set and split, from what cut the newest crops; None where nothing has."""
    units = units_of(cutter(store))
    found: dict[str, Counter[str | None]] = {}
    for folder, unit in units:
        table = read_table(manifest_path(folder, unit), ("dataset", "split", "reason"))
        rows: Sequence[Mapping[str, Any]] = table.to_pylist()
        for row in rows:
            lost = found.setdefault(str(row["dataset"]), Counter())
            lost[row["split"]] += row["reason"] in _NO_FACE
    return found if units else None
