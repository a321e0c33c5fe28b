"""What follows from nothing else in a store lies there twice: each such file has a spare of the same name in ``STORE/spare``.

Which row lies where, who was taken out, what was added, which generations are current, in what their units were made, what
weights have seen that may be gone, and rosters, from which somebody may have been taken out since: whoever loses that cannot
make it again. A spare is the SHA-256 of the file in hex, a line's end, and the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
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
_NEXT = ".next"


def write_twice(store: Path, path: Path, data: bytes) -> None:
    """Write a file of the store and its spare, each of them complete or not at all.

    The next spare lies ready before the file is written, and takes its place afterwards: killed in between, the file is what
    one of the two says.

    Raises:
        OSError: the store cannot be written.
    """
    spare = _spare(store, path)
    write_atomic(_next(spare), _sealed(data))
    write_atomic(path, data)
    _next(spare).replace(spare)


def spoilt(store: Path) -> Iterator[tuple[Path, bytes]]:
    """Files that are not there or have other bytes than their spares, and the bytes that they should have."""
    for spare in _spares(store):
        path = store / spare.relative_to(store / FOLDER)
        data, found = _opened(spare), _read(path)
        if data is not None and found != data and (found is None or found != _opened(_next(spare))):
            yield path, data


def worn(store: Path) -> Iterator[Path]:
    """Spares that are not there or damaged, of files that are there."""
    for kind in _KINDS:
        for path in sorted(store.glob(kind)):
            spare = _spare(store, path)
            if _opened(spare) is None and _opened(_next(spare)) != path.read_bytes():
                yield spare


def settle(store: Path) -> None:
    """Finish what writers that were killed have begun: a next spare takes its place if its file was written, else it goes.

    The caller holds the store's lock.

    Raises:
        OSError: the store cannot be read or written.
    """
    for path in sorted(path for kind in _KINDS for path in (store / FOLDER).glob(kind + _NEXT)):
        spare = path.with_name(path.name.removesuffix(_NEXT))
        if (data := _opened(path)) is not None and _read(store / spare.relative_to(store / FOLDER)) == data:
            path.replace(spare)
        else:
            remove(path)


def mend(store: Path) -> list[Path]:
    """Put back what is spoilt, and write the spares anew that are worn; returns the files that were written.

    The caller holds the store's lock.

    Raises:
        OSError: the store cannot be read or written.
    """
    mended = []
    settle(store)
    for folder in _removed(store):
        forget(store, folder.name)
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
    for kind in _KINDS:
        for path in (store / FOLDER).glob(kind):
            if path.relative_to(store / FOLDER).parts[0] == generation:
                remove(path)
    for folder in (store / FOLDER / generation / "rosters", store / FOLDER / generation):
        with suppress(OSError):
            folder.rmdir()


def _spare(store: Path, path: Path) -> Path:
    return store / FOLDER / path.relative_to(store)


def _next(spare: Path) -> Path:
    return spare.with_name(spare.name + _NEXT)


def _spares(store: Path) -> list[Path]:
    removed = set(_removed(store))
    return sorted(path for kind in _KINDS for path in (store / FOLDER).glob(kind) if removed.isdisjoint(path.parents))


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
