"""What was read of a source, in figures: the same before a run, in the store and in the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fasgen.sources.odd import Odd

_MOST = 8
"""Attack types and devices that are named in a line; of the others the number."""


@dataclass(frozen=True)
class Reading:
    """Counts of one source.

    Attributes:
        name: the source.
        rows: planned rows.
        files: files that are rows.
        videos: videos among them.
        clips: videos that lie as stills.
        stills: the stills of these.
        live: files.
        spoof: files by attack type; ``?`` where it is not known.
        unknown: files without a label.
        subjects: people.
        pseudo: clips and pictures that stand for people.
        nobody: files without a subject.
        splits: files by split; those without one are not counted.
        devices: files by capture device; those without one are not counted.
        skipped: why files are no rows, with counts.
        odd: what is odd.
    """

    name: str
    rows: int = 0
    files: int = 0
    videos: int = 0
    clips: int = 0
    stills: int = 0
    live: int = 0
    spoof: Mapping[str, int] = field(default_factory=dict)
    unknown: int = 0
    subjects: int = 0
    pseudo: int = 0
    nobody: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)
    devices: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    odd: tuple[Odd, ...] = ()

    @property
    def counts(self) -> str:
        """The figures in one line."""
        whole = _count(self.videos, "video") if self.videos else ""
        of_stills = f"{_count(self.clips, 'video')} as {_count(self.stills, 'still')}" if self.clips else ""
        videos = f" ({', '.join(filter(None, (whole, of_stills)))})" if whole or of_stills else ""
        attacks = f" ({_tally(self.spoof)})" if set(self.spoof) - {"?"} else ""
        labels = f"{self.live:,} live, {sum(self.spoof.values()):,} spoof{attacks}, {self.unknown:,} unknown"
        people = _count(self.subjects, "subject") if self.subjects or not self.pseudo else ""
        stand_ins = f"{_count(self.pseudo, 'clip or picture', 'clips or pictures')} in place of subjects" if self.pseudo else ""
        without = f" ({_count(self.nobody, 'file')} without)" if self.nobody and self.subjects else ""
        known = " and ".join(filter(None, (people, stand_ins))) + without
        splits = f"splits: {_tally(self.splits)}" if self.splits else "no splits"
        devices = f"devices: {_tally(self.devices)}" if self.devices else "no devices"
        return f"{_count(self.files, 'file')}{videos}: {labels}; {known}; {splits}; {devices}"

    @property
    def planned(self) -> str:
        """The number of rows in words."""
        return _count(self.rows, "row")

    def recounted(self, other: Reading, gone: Container[str]) -> Reading:
        """The figures of ``other`` with the rows of this one, what was left out and what is odd, not naming files ``gone``."""
        return replace(other, rows=self.rows, skipped=self.skipped, odd=tuple(one.without(gone) for one in self.odd))

    def document(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = {name: value for name, value in vars(self).items() if name != "odd"}
        plain |= {name: dict(value) for name, value in plain.items() if isinstance(value, Mapping)}
        return {**plain, "odd": [one.document() for one in self.odd]}

    @staticmethod
    def of(document: Mapping[str, Any]) -> Reading:
        """From what `document` gave.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        return Reading(**{**document, "odd": tuple(Odd.of(one) for one in document["odd"])})


def count(name: str, alike: Iterable[tuple[Mapping[str, Any], int]], **more: Any) -> Reading:
    """Count files.

    Args:
        name: the source.
        alike: what is known of a file, and how many files it is known of.
        more: figures that do not follow from these.
    """
    labels: Counter[str] = Counter()
    spoof: Counter[str] = Counter()
    splits: Counter[str] = Counter()
    devices: Counter[str] = Counter()
    people: set[str] = set()
    stand_ins: set[str] = set()
    clips: set[str] = set()
    files = videos = stills = nobody = 0
    for known, number in alike:
        files += number
        videos += number if known["kind"] == "video" else 0
        if video := known.get("video"):
            clips.add(video)
            stills += number
        labels[known["label"]] += number
        if known["label"] == "spoof":
            spoof[known["attack_type"] or known["attack_family"] or "?"] += number
        for counter, value in ((splits, known["split"]), (devices, known["device"])):
            if value:
                counter[value] += number
        if known["subject"]:
            (stand_ins if known["subject_is_pseudo"] else people).add(known["subject"])
        else:
            nobody += number
    return Reading(
        name,
        files=files,
        videos=videos,
        clips=len(clips),
        stills=stills,
        live=labels["live"],
        spoof=_in_order(spoof),
        unknown=labels["unknown"],
        subjects=len(people),
        pseudo=len(stand_ins),
        nobody=nobody,
        splits={split: splits[split] for split in ("train", "dev", "test") if split in splits},
        devices=_in_order(devices),
        **more,
    )


def _in_order(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first."""
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _tally(counts: Mapping[str, int]) -> str:
    named = ", ".join(f"{number:,} {name}" for name, number in list(counts.items())[:_MOST])
    return f"{named} and {len(counts) - _MOST:,} more" if len(counts) > _MOST else named


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
