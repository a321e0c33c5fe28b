"""What follows from nothing else in a store lies there twice: each such file has a spare of the same name in ``STORE/spare``.

Which row lies where, who was taken out, what was added, which generations are current, in what their units were made, what
weights have seen that may be gone, and rosters, from which somebody may have been taken out since: whoever loses that cannot
make it again. A spare is the SHA-256 of the file in hex, a line's end, and the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from fasgen.manifests.atomic import remove, write_atomic

FOLDER = "spare"

PUT_BACK = "`fasgen run` puts it back from its spare; where that is damaged too, take it from a backup"
"""What to do where such a file is damaged."""

_GENERATION = "*-" + 8 * "[0-9a-f]"
_KINDS = (
    "current.json",
    "rows/*/*.parquet",
    "rows/*/*.sha256",
    "added/*.json",
    "retracted/*.json",
    "seen/*.json",
    *(f"{_GENERATION}/{name}" for name in ("plan.json", "plan-*.json", "networks.json")),
    *(f"{_GENERATION}/{name}.{end}" for name in ("roster", "rosters/*") for end in ("parquet", "sha256")),
)
_HEAD = 65


def write_twice(store: Path, path: Path, data: bytes) -> None:
    """Write a file of the store and its spare, each of them complete or not at all.

    The spare comes first: whatever happens in between, a file that is not what its spare says is one to be put back.

    Raises:
        OSError: the store cannot be written.
    """
    write_atomic(_spare(store, path), _sealed(data))
    write_atomic(path, data)


def spoilt(store: Path) -> Iterator[tuple[Path, bytes]]:
    """Files that are not there or have other bytes than their spares, and the bytes that they should have."""
    for spare in _spares(store):
        path = store / spare.relative_to(store / FOLDER)
        if (data := _opened(spare)) is not None and _read(path) != data:
            yield path, data


def worn(store: Path) -> Iterator[Path]:
    """Spares that are not there or damaged, of files that are there."""
    for kind in _KINDS:
        for path in sorted(store.glob(kind)):
            if _opened(spare := _spare(store, path)) is None:
                yield spare


def mend(store: Path) -> list[Path]:
    """Put back what is spoilt, and write the spares anew that are worn; returns the files that were written.

    The caller holds the store's lock.

    Raises:
        OSError: the store cannot be read or written.
    """
    mended = []
    for folder in _removed(store):
        remove(folder)
    for path, data in list(spoilt(store)):
        write_atomic(path, data)
        mended.append(path)
    for spare in list(worn(store)):
        path = store / spare.relative_to(store / FOLDER)
        write_atomic(spare, _sealed(path.read_bytes()))
        mended.append(spare)
    return mended


def forget(store: Path, generation: str) -> None:
    """Remove the spares of a generation, before itself is removed."""
    remove(store / FOLDER / generation)


def _spare(store: Path, path: Path) -> Path:
    return store / FOLDER / path.relative_to(store)


def _spares(store: Path) -> list[Path]:
    removed = set(_removed(store))
    return sorted(path for kind in _KINDS for path in (store / FOLDER).glob(kind) if path.parent not in removed)


def _removed(store: Path) -> list[Path]:
    """Spares of generations that were removed by hand, and shall not come back."""
    return [folder for folder in sorted((store / FOLDER).glob(_GENERATION)) if not (store / folder.name).is_dir()]


def _sealed(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode("ascii") + b"\n" + data


def _opened(spare: Path) -> bytes | None:
    """What a spare holds; None where it is not there or has not the bytes that were written."""
    held = _read(spare)
    return held[_HEAD:] if held is not None and _sealed(held[_HEAD:]) == held else None


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
