"""Digests of the weight files and folders that a stage will load."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from fasgen.errors import WeightsError
from fasgen.manifests.atomic import file_digest
from fasgen.seen import NAME

_cache: dict[tuple[str, int, int], str] = {}
_lock = threading.Lock()


def digest_weights(
    paths: Mapping[str, Path], *, believe_times: bool = True, forward: Callable[[], None] = lambda: None
) -> dict[str, str]:
    """SHA-256 by role. A file's digest is that of its bytes; a folder's that of its sorted relative names and files' digests.

    Names that begin with a dot are left out of a folder's digest, and so is the record of what weights have seen, which changes
    no number. A file is read again only if its size or its time of
    change differs from when this process read it last.

    Args:
        paths: file or folder by role.
        believe_times: false reads every file, also one that seems not to have changed.
        forward: called as reading goes on, for whoever watches over it.

    Raises:
        WeightsError: if one is missing, empty or unreadable.
    """
    return {role: _digest(role, path, believe_times, forward) for role, path in sorted(paths.items())}


def _digest(role: str, path: Path, believe_times: bool, forward: Callable[[], None]) -> str:
    try:
        if not path.is_dir():
            return _file(path, believe_times, forward)
        total = hashlib.sha256()
        files = sorted((item.relative_to(path).as_posix(), item) for item in path.rglob("*") if item.is_file())
        visible = [
            (name, item)
            for name, item in files
            if item.name != NAME and not any(part.startswith(".") for part in name.split("/"))
        ]
        if not visible:
            raise WeightsError(f"weights {role!r}: the folder {path} is empty: give one with a model in it")
        for name, item in visible:
            total.update(f"{_file(item, believe_times, forward)}  {name}\n".encode("utf-8", "surrogateescape"))
        return total.hexdigest()
    except OSError as error:
        raise WeightsError(
            f"weights {role!r}: {path} cannot be read ({error.strerror}): give an existing file or folder"
        ) from error


def _file(path: Path, believe_times: bool, forward: Callable[[], None]) -> str:
    stat = path.stat()
    key = (str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    with _lock:
        if believe_times and key in _cache:
            return _cache[key]
    digest = file_digest(path, forward)
    with _lock:
        _cache[key] = digest
    return digest
