"""Who was taken out of a store: one file a person, by the digest of the subject's key, never by the key itself.

Where photographs were taken out by their file, what it holds stands for the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.spare import PUT_BACK, write_twice
from fasgen.manifests.unit import canonical_json

_FORMAT = "fasgen-tombstone/2"


def subject_digest(subject: str) -> str:
    """SHA-256 of a subject's key, in hex. Whoever knows a key can test for it; the keys cannot be read from it."""
    return hashlib.sha256(subject.encode("utf-8", "surrogateescape")).hexdigest()


def content_of(path: Path) -> str:
    """What a file holds: its length, a colon, and the SHA-256 of its bytes in hex; empty where it is, or cannot be read."""
    try:
        with path.open("rb") as stream:
            return content_in(stream)
    except (OSError, ValueError):
        return ""


def content_in(stream: BufferedReader) -> str:
    """The same of what is open, from its beginning."""
    digest, size = hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
    return f"{size}:{digest}" if size else ""


@dataclass(frozen=True)
class Tombstone:
    """One person who was taken out, or the photographs of one file.

    Attributes:
        subject: digest of the subject's key, or of what the file is known by.
        samples: ids of the person's photographs, which later runs leave out too, whatever their labels say then.
        done: false from the beginning of the removal until nothing is left.
        removed: rows taken out, by generation.
        contents: what their files hold (`content_of`), as far as they could be read: copies of them are left out as well.
        stale: while it is not done: units that were not believed before it began, by generation, -1 for the roster; ``None``
            before it has begun. All others are believed afterwards too.
    """

    subject: str
    samples: frozenset[str]
    done: bool = False
    removed: Mapping[str, int] = field(default_factory=dict)
    contents: frozenset[str] = frozenset()
    stale: Mapping[str, Sequence[int]] | None = None


class Retracted:
    """All who were taken out of a store.

    Args:
        tombstones: theirs.
        copies: ids of photographs whose files hold what one of theirs held.
    """

    def __init__(self, tombstones: Iterable[Tombstone] = (), copies: Iterable[str] = ()) -> None:
        self.tombstones = tuple(tombstones)
        self.subjects = frozenset(one.subject for one in self.tombstones)
        self.contents = frozenset(content for one in self.tombstones for content in one.contents)
        self.samples = frozenset(sample for one in self.tombstones for sample in one.samples).union(copies)
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return bool(self.tombstones)

    def is_subject(self, subject: object) -> bool:
        """Whether a subject's key is that of somebody who was taken out."""
        if not self.subjects or not isinstance(subject, str):
            return False
        if subject not in self._known:
            self._known[subject] = subject_digest(subject) in self.subjects
        return self._known[subject]

    def is_photograph(self, sample_id: object, subject: object) -> bool:
        """Whether a row of the sources is of somebody who was taken out."""
        return sample_id in self.samples or self.is_subject(subject)

    def touches(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of a manifest or roster has such a person in any role."""
        parents = row.get("parent_ids") or ()
        return (
            self.is_photograph(row.get("sample_id"), row.get("subject"))
            or self.is_subject(row.get("style_subject"))
            or row.get("style_subject") in self.samples
            or any(parent in self.samples for parent in parents)
        )


def folder_of(store: Path) -> Path:
    """Where the tombstones of a store lie."""
    return store / "retracted"


def read_tombstones(store: Path) -> list[Tombstone]:
    """All tombstones of a store.

    Raises:
        StoreError: one is damaged. Nothing may be made then: it might be of somebody who was taken out.
    """
    folder = folder_of(store)
    found: list[Tombstone] = []
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        try:
            document = parse_json(path.read_bytes())
            if document["format"] != _FORMAT or document["subject_sha256"] != path.stem:
                raise ValueError("not a tombstone of this name")
            samples = frozenset(str(sample) for sample in document["samples"])
            removed = {str(name): int(count) for name, count in document["removed"].items()}
            stale = document.get("stale")
            units = {str(name): [int(unit) for unit in listed] for name, listed in stale.items()} if stale is not None else None
            contents = frozenset(map(str, document["contents"]))
            found.append(Tombstone(path.stem, samples, bool(document["done"]), removed, contents, units))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{path}: is damaged ({error}): {PUT_BACK}, or give `fasgen retract` the person's key again"
            ) from None
    return found


def write_tombstone(store: Path, tombstone: Tombstone) -> None:
    """Write one, complete or not at all.

    Raises:
        StoreError: the store cannot be written.
    """
    document: dict[str, object] = {
        "format": _FORMAT,
        "subject_sha256": tombstone.subject,
        "samples": sorted(tombstone.samples),
        "done": tombstone.done,
        "removed": dict(tombstone.removed),
        "contents": sorted(tombstone.contents),
    }
    if tombstone.stale is not None:
        document["stale"] = {name: list(units) for name, units in tombstone.stale.items()}
    path = folder_of(store) / f"{tombstone.subject}.json"
    try:
        write_twice(store, path, canonical_json(document) + b"\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}): free space, or mend its permissions") from error
