"""Files and folders at addresses that are wanted on a disk, such as weights: fetched once per machine."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from fasgen.cache_folder import cache_home
from fasgen.remote.address import scheme_of
from fasgen.remote.path import RemoteError, RemoteFile, RemotePath

_ORIGIN, _CONTENT = "origin.json", "content"


def located(text: str) -> Path:
    """Where what a setting names lies on this machine: the path itself, or the copy of what is at the address.

    A copy is made once for each state of what lies there, told by the names, sizes and digests (or times) that the server
    gives, and becomes visible when it is complete; of several processes one fetches. Whoever loads it takes a digest of the
    copy's own bytes. Copies lie in the cache folder under ``fetched``, and may be removed at any time.

    Args:
        text: a path, or the address of a file or a folder.

    Raises:
        RemoteError: nothing is there, or it cannot be fetched.
    """
    return _fetched(text) if scheme_of(text) else Path(text)


def origin(path: Path) -> str:
    """The address of what a copy is, or of a part of it; the path itself for what is none. The inverse of `located`."""
    folder = cache_home() / "fetched"
    if not path.is_relative_to(folder):
        return str(path)
    key, *inside = path.relative_to(folder).parts
    with suppress(OSError, ValueError, KeyError, TypeError):
        address = str(json.loads((folder / key / _ORIGIN).read_bytes())["address"])
        # Behind the copy's own name are the parts of a folder.
        return "/".join((address, *inside[2:]))
    return str(path)


@cache
def _fetched(address: str) -> Path:
    there = _place(address)
    found = [there.file()] if there.is_file() else sorted(one for one in there.files() if not _is_hidden(one.name))
    if not found:
        raise RemoteError(f"{address}: nothing is there: mend the address")
    state = hashlib.sha256(json.dumps([address, found]).encode()).hexdigest()[:32]
    folder = cache_home() / "fetched"
    folder.mkdir(mode=0o700, exist_ok=True)
    entry = folder / state
    with _alone(folder / f"{state}.lock"):
        if not (entry / _ORIGIN).exists():
            _fetch(there, found, entry)
    return entry / _CONTENT / there.name


def _place(address: str) -> RemotePath:
    try:
        return RemotePath(address)
    except ValueError as error:
        raise RemoteError(str(error)) from None


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _fetch(there: RemotePath, found: list[RemoteFile], entry: Path) -> None:
    draft = Path(mkdtemp(prefix=".tmp-", dir=entry.parent))
    try:
        top = draft / _CONTENT / there.name
        is_file = there.is_file()
        for one in found:
            target = top if is_file else top / one.name
            target.parent.mkdir(parents=True, exist_ok=True)
            size = 0
            with target.open("xb") as stream:
                for block in (there if is_file else there / one.name).blocks():
                    size += stream.write(block)
            if one.size not in (-1, size):
                raise RemoteError(f"{there}: {one.name} has {one.size} bytes, and {size} came: give the command again")
        (draft / _ORIGIN).write_text(json.dumps({"address": str(there), "files": found}, indent=1), "utf-8")
        with suppress(FileNotFoundError):
            shutil.rmtree(entry)
        draft.rename(entry)
    except OSError as error:
        raise RemoteError(
            f"{there}: cannot be kept in {entry.parent} ({error.strerror or error}): free space, or set XDG_CACHE_HOME to "
            "another folder"
        ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process of this machine at a time."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):
            # Not every disk has locks; there, several may fetch, and the last one's copy is as good as the first's.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
