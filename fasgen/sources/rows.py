"""Rows of a source, held as one record a file: a row is made when it is asked for."""

from __future__ import annotations

from abc import abstractmethod
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal, NamedTuple, overload

from fasgen.records import Scalar
from fasgen.sources.odd import Odd
from fasgen.sources.paths import sample_id, sample_ids
from fasgen.sources.reading import Reading, count

TakenOut = Callable[[str, str | None], bool]
"""From a row's sample id and subject: whether the person was taken out of the store."""


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One planned sample.

    Attributes:
        sample_id: 16 hex digits over data set, path and frame number.
        dataset: the source's name.
        path: relative path, escaped losslessly (`fasgen.sources.paths.unescape` gives it back).
        size: bytes on disk when listed; 0 where that could not be found out.
        kind: ``image`` or ``video``, by extension.
        frame_k: number of the requested frame, 0 to ``frame_n - 1``; None for a still.
        frame_n: frames requested of this video; None for a still.
        subject: subject key, prefixed by the data set.
        label: ``live``, ``spoof`` or ``unknown``.
        attack_type: presentation attack instrument; None for live.
        device: capture device.
        domain: ``dataset|device|attack type``; ``?`` where the device is unknown, the label where there is no attack type.
        split: ``train``, ``dev``, ``test`` or None.
        licence: licence tag.
        attack_family: family of attacks over all data sets, as `fasgen.sources.adapters.table.Family` lists them.
        attack_raw: the attack as the data set spells or numbers it.
        session: recording session.
        lighting: lighting.
        subject_is_pseudo: whether the subject stands for a clip or picture because the data set does not tell people.
        adapter: what read the data set: an adapter's name, whatever the source is called.
        container: how the pixels are held, for `fasgen.sources.contained`; None for a file of its own.
        marks: relative path, escaped, of shipped boxes or eye positions; None without.
        marks_format: how that file is to be read, for `fasgen.sources.marks`.
        video: video that a still is a frame of, unique in its source; None for other stills, and for video files, which are
            one of their own.
    """

    sample_id: str
    dataset: str
    path: str
    size: int
    kind: Literal["image", "video"]
    frame_k: int | None
    frame_n: int | None
    subject: str | None
    label: str
    attack_type: str | None
    device: str | None
    domain: str
    split: str | None
    licence: str
    attack_family: str | None = None
    attack_raw: str | None = None
    session: str | None = None
    lighting: str | None = None
    subject_is_pseudo: bool = False
    adapter: str | None = None
    container: str | None = None
    marks: str | None = None
    marks_format: str | None = None
    video: str | None = None

    def as_dict(self) -> dict[str, Scalar]:
        """The row as a plain dict, in column order."""
        return {name: getattr(self, name) for name in _FIELDS}

    @property
    def is_blank(self) -> bool:
        """Whether the person of the row was taken out: nothing but its id and data set is left."""
        return not self.path

    def blanked(self) -> SourceRow:
        """The row without anything that tells of a person."""
        return replace(
            SourceRow.blank(self.sample_id, self.dataset), subject_is_pseudo=self.subject_is_pseudo, adapter=self.adapter
        )

    @staticmethod
    def blank(sample_id: str, dataset: str) -> SourceRow:
        """A row of which nothing is known but its place."""
        return SourceRow(
            sample_id=sample_id,
            dataset=dataset,
            path="",
            size=0,
            kind="image",
            frame_k=None,
            frame_n=None,
            subject=None,
            label="unknown",
            attack_type=None,
            device=None,
            domain="",
            split=None,
            licence="",
        )


_FIELDS = tuple(field.name for field in fields(SourceRow))


class SourceFile(NamedTuple):
    """One file. Its rows differ in nothing but sample id and frame number.

    Attributes:
        path: relative path, escaped.
        size: bytes on disk when listed.
        marks: relative path, escaped, of shipped boxes or eye positions.
        stamp: what tells one content from another: when the file was changed, ns (that of an archive for its members), what a
            server says of it, or the digest of its bytes; where boxes or eye positions are shipped, theirs as well.
        alike: the other fields of its rows; files of which the same is known share one mapping.
    """

    path: str
    size: int
    marks: str | None
    stamp: int | str
    alike: dict[str, Any]

    @property
    def frames(self) -> Sequence[int | None]:
        """Numbers of its rows' frames; one None for a still."""
        count = self.alike["frame_n"]
        return _STILL if count is None else range(count)

    def sample_ids(self) -> list[str]:
        """Sample ids of its rows."""
        return sample_ids(self.alike["dataset"], self.path, self.frames)

    def row(self, frame: int | None) -> SourceRow:
        """Its row of one frame."""
        return SourceRow(
            sample_id=sample_id(self.alike["dataset"], self.path, frame),
            path=self.path,
            size=self.size,
            frame_k=frame,
            marks=self.marks,
            **self.alike,
        )


_STILL = (None,)


class MadeRows(Sequence[SourceRow]):
    """Rows that are made when they are asked for."""

    @abstractmethod
    def _row(self, place: int) -> SourceRow:
        """The row at a place that there is."""

    @overload
    def __getitem__(self, index: int) -> SourceRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[SourceRow, ...]: ...
    def __getitem__(self, index: int | slice) -> SourceRow | tuple[SourceRow, ...]:
        if isinstance(index, slice):
            return tuple(map(self._row, range(len(self))[index]))
        return self._row(range(len(self))[index])


class LazyRows(MadeRows):
    """Rows that are kept as parts of known lengths, one behind the other."""

    @property
    @abstractmethod
    def _ends(self) -> Sequence[int]:
        """Number of the row behind each part's last."""

    @abstractmethod
    def _in(self, part: int, place: int) -> SourceRow:
        """Row ``place`` of a part."""

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _row(self, place: int) -> SourceRow:
        part = bisect_right(self._ends, place)
        return self._in(part, place - (self._ends[part - 1] if part else 0))


@dataclass(frozen=True)
class Scan(LazyRows):
    """The rows of a source, in order of path bytes and frame number, and what was left out.

    Rows are made anew whenever they are asked for; what is kept is a record a file.

    Attributes:
        files: the files, in order.
        skipped: why files are no rows, with counts: ``hidden``, ``not media: .txt``, ``excluded``, ``not in the table``,
            ``not a regular file``, ``symbolic link``.
        unknown: escaped paths of files that the adapter knows nothing of, and why; none of them is a row.
        notes: what a user should know of the data set's own lists and boxes.
        odd: what a user would want to look at before anything is made of the rows.
        taken_out: whose rows are blank; None: nobody's.
    """

    files: tuple[SourceFile, ...]
    skipped: dict[str, int]
    unknown: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    odd: tuple[Odd, ...] = ()
    taken_out: TakenOut | None = None

    def __iter__(self) -> Iterator[SourceRow]:
        for file in self.files:
            for frame in file.frames:
                yield self._shown(file.row(frame))

    def sample_ids(self) -> Iterator[str]:
        """Sample ids of all rows, in order."""
        for file in self.files:
            yield from file.sample_ids()

    @cached_property
    def reading(self) -> Reading:
        """What was read, in figures; without those who were taken out."""
        gone = {file.path for file in self.files if self._is_gone(file)} if self.taken_out is not None else set()
        files = (file for file in self.files if file.path not in gone) if gone else self.files
        numbers = Counter(id(file.alike) for file in files)
        known = {id(file.alike): file.alike for file in self.files}
        alike = ((known[one], number) for one, number in numbers.items())
        name = self.files[0].alike["dataset"] if self.files else ""
        odd = tuple(one.without(gone) for one in self.odd) if gone else self.odd
        return count(name, alike, rows=len(self), skipped=self.skipped, odd=odd)

    def _is_gone(self, file: SourceFile) -> bool:
        taken_out, subject = self.taken_out, file.alike["subject"]
        return taken_out is not None and any(taken_out(one, subject) for one in file.sample_ids())

    def _in(self, part: int, place: int) -> SourceRow:
        file = self.files[part]
        return self._shown(file.row(file.frames[place]))

    def _shown(self, row: SourceRow) -> SourceRow:
        return row.blanked() if self.taken_out is not None and self.taken_out(row.sample_id, row.subject) else row

    @cached_property
    def _ends(self) -> Sequence[int]:
        """Number of the row behind each file's last."""
        return array("q", accumulate(len(file.frames) for file in self.files))
