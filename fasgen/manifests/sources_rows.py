"""Rows of a listing as they come, a record a file: checked, and as text for digests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple

from fasgen.errors import StoreError
from fasgen.manifests.schema import checked
from fasgen.records import Column, Scalar

COLUMNS: tuple[Column, ...] = (
    Column("sample_id", "string", "16 hex digits over data set, path and frame number"),
    Column("dataset", "string", "name of the source"),
    Column("path", "string", "path inside the source, undecodable bytes escaped"),
    Column("size", "int64", "size of the file when it was listed", "bytes"),
    Column("kind", "string", "image or video"),
    Column("frame_k", "int32", "number of the requested frame; null for a still"),
    Column("frame_n", "int32", "frames requested of the video; null for a still"),
    Column("subject", "string", "subject key, prefixed by the data set; null where unknown"),
    Column("label", "string", "live, spoof or unknown"),
    Column("attack_type", "string", "presentation attack instrument; null for live"),
    Column("device", "string", "capture device; null where unknown"),
    Column("domain", "string", "data set | capture device | attack type"),
    Column("split", "string", "train, dev, test or null"),
    Column("licence", "string", "licence tag of the source"),
    Column("attack_family", "string", "family of attacks over all data sets, such as print, replay, mask_rigid; null for live"),
    Column("attack_raw", "string", "the attack as the data set spells or numbers it; null for live"),
    Column("session", "string", "recording session; null where unknown"),
    Column("lighting", "string", "lighting; null where unknown"),
    Column("subject_is_pseudo", "bool", "whether the subject stands for a clip or picture: the data set does not tell people"),
    Column("adapter", "string", "what read the data set: the adapter's name, whatever the source is called"),
    Column("container", "string", "how the pixels are held inside the file; null for a file of its own"),
    Column("marks", "string", "path of shipped boxes or eye positions; null without"),
    Column("marks_format", "string", "columns of that file"),
    Column("video", "string", "video that a still is a frame of, unique in its source; null for other stills and video files"),
)
OWN = frozenset({"sample_id", "path", "size", "frame_k", "marks"})
"""Columns in which files of which the same is known differ."""

_KINDS = {column.name: column for column in COLUMNS}
_SHARED = tuple(column for column in COLUMNS if column.name not in OWN)
_KEPT = 1 << 12
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class FileRows(NamedTuple):
    """The rows of one file.

    Attributes:
        alike: all values but those of ``OWN``; the same object for all files of which the same is known.
        path: see ``COLUMNS``, as the others.
        size: bytes.
        marks: path of boxes or eye positions.
        sample_ids: of each row.
        frames: ``frame_k`` of each row.
    """

    alike: Mapping[str, Scalar]
    path: Any
    size: Any
    marks: Any
    sample_ids: Sequence[Any]
    frames: Sequence[Any]

    @staticmethod
    def of_row(row: Mapping[str, Scalar]) -> FileRows:
        """One row on its own."""
        alike = {name: value for name, value in row.items() if name not in OWN}
        path, size, marks, sample, frame = map(row.get, ("path", "size", "marks", "sample_id", "frame_k"))
        return FileRows(alike, path, size, marks, (sample,), (frame,))

    def part(self, start: int, stop: int) -> FileRows:
        """Some of the rows."""
        return self._replace(sample_ids=self.sample_ids[start:stop], frames=self.frames[start:stop])


def encode(value: Scalar) -> str:
    """JSON of one value."""
    # Without these, what most values are would cost more than all else of a row.
    if value is None:
        return "null"
    return encode_basestring_ascii(value) if type(value) is str else str(value) if type(value) is int else _encode(value)


def template(names: Iterable[str], alike: Mapping[str, Scalar], key: Callable[[str], str]) -> tuple[str, ...]:
    """JSON text of a row without its brackets, cut where values of ``OWN`` stand.

    Args:
        names: columns, in order.
        alike: values of those that are not in ``OWN``; what is missing is null.
        key: what stands before the value of a column.
    """
    parts = [""]
    for place, name in enumerate(names):
        parts[-1] += ("," if place else "") + key(name)
        if name in OWN:
            parts.append("")
        else:
            parts[-1] += encode(alike.get(name))
    return tuple(parts)


class Checked:
    """Rows as they are stored: each value of its column's type.

    Args:
        name: the source, for messages.
        rows: mappings, or rows by file.

    Raises:
        StoreError: while it is iterated, if a row has a column that is none of ``COLUMNS`` or of another kind.
    """

    def __init__(self, name: str, rows: Iterable[Mapping[str, Scalar] | FileRows]) -> None:
        self._name, self._rows = name, rows
        self._seen: dict[int, tuple[Mapping[str, Scalar], dict[str, Scalar]]] = {}
        self._equal: dict[tuple[Scalar, ...], dict[str, Scalar]] = {}

    def __iter__(self) -> Iterator[FileRows]:
        number = 0
        self._seen.clear()
        self._equal.clear()
        for given in self._rows:
            rows = given if isinstance(given, FileRows) else FileRows.of_row(given)
            where = f"source {self._name!r}, row {number}"
            number += len(rows.sample_ids)
            yield rows._replace(
                alike=self._alike(rows.alike, where),
                path=_value("path", rows.path, where),
                size=_value("size", rows.size, where),
                marks=_value("marks", rows.marks, where),
                sample_ids=[_value("sample_id", one, where) for one in rows.sample_ids],
                frames=rows.frames if isinstance(rows.frames, range) else [_value("frame_k", k, where) for k in rows.frames],
            )

    def _alike(self, given: Mapping[str, Scalar], where: str) -> dict[str, Scalar]:
        # The mapping is kept with what became of it, so that its id stays its own.
        held = self._seen.get(id(given))
        if held is not None:
            return held[1]
        if not given.keys() <= _KINDS.keys():
            raise StoreError(f"{where}: unknown columns {', '.join(sorted(set(given) - _KINDS.keys()))}")
        if len(self._seen) >= _KEPT:
            self._seen.clear()
        made = {column.name: _value(column.name, given.get(column.name), where) for column in _SHARED}
        # Rows that come one by one have a mapping each, and most of them the same values.
        made = self._equal.setdefault(tuple(made.values()), made)
        self._seen[id(given)] = given, made
        return made


def _value(name: str, value: Any, where: str) -> Any:
    column = _KINDS[name]
    # What is of the plain type already is most of what there is.
    if value is None or (type(value) is str and column.kind == "string" and value.isascii()):
        return value
    return checked(column, value, where)


def texts(rows: Iterable[FileRows]) -> Iterator[bytes]:
    """The rows of each file as lines of JSON lists, values in the order of ``COLUMNS``."""
    seen: dict[int, tuple[Mapping[str, Scalar], tuple[str, ...]]] = {}
    for one in rows:
        held = seen.get(id(one.alike))
        if held is None:
            if len(seen) >= _KEPT:
                seen.clear()
            held = seen[id(one.alike)] = one.alike, template(_KINDS, one.alike, lambda _: "")
        start, before_path, before_size, before_frame, before_marks, end = held[1]
        head = f"{before_path}{encode(one.path)}{before_size}{encode(one.size)}{before_frame}"
        tail = f"{before_marks}{encode(one.marks)}{end}]\n"
        pairs = zip(one.sample_ids, one.frames, strict=True)
        yield "".join(f"[{start}{encode(sample)}{head}{encode(frame)}{tail}" for sample, frame in pairs).encode("ascii")
