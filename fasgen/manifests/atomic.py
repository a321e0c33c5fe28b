"""Bytes appear on disk under their final name complete and flushed, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_TMP = ".tmp-"

STAGING = f"{_TMP}rewrite-"
"""What the names of rewritten units begin with while they wait beside the old ones."""

_OURS = re.compile(r"\.tmp-(?:.+-\d+-[0-9a-f]{4,}|(?:driver\.lock|beat|dead|now)-[0-9a-f]{16}(?:-copy)?|rewrite-.*)")
"""Names of what is not finished; others that begin alike belong to somebody else."""

_READ = 1 << 20


def tmp_folder(folder: Path, key: str) -> Path:
    """Create and return a new hidden work folder inside ``folder``, unique to this writer of ``key``.

    It lies on the same file system as the final names, so that renaming out of it is atomic.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_TMP}{key}-{os.getpid()}-{secrets.token_hex(4)}"
    path.mkdir()
    return path


def leftovers(folder: Path, key: str = "") -> list[Path]:
    """Work that killed writers left in ``folder``: of ``key``, or of everyone if it is empty; sorted."""
    prefix = f"{_TMP}{key}-" if key else _TMP
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.startswith(prefix) and _OURS.fullmatch(path.name))


def clean(folder: Path, key: str) -> int:
    """Remove what killed writers of ``key`` left in ``folder``; returns how many there were."""
    found = leftovers(folder, key)
    for path in found:
        remove(path)
    return len(found)


def remove(path: Path) -> None:
    """Remove a file or a folder with all it holds; what is not there is no error."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


LACKING = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM, errno.EMLINK})
"""What file systems say that lack an operation, rather than fail at it."""


def fsync_file(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, are on the disk.

    Some shared file systems cannot do that for a folder; there it is left to them (`shortcomings`).
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in LACKING or not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise
    finally:
        os.close(descriptor)


def shortcomings(folder: Path) -> list[str]:
    """What the file system of ``folder`` cannot do and what is lost by it, a sentence each; the folder is written to.

    Raises:
        OSError: it cannot be written.
    """
    found = []
    probe = tmp_folder(folder, "probe")
    try:
        (probe / "one").touch()
        try:
            os.link(probe / "one", probe / "two")
        except OSError as error:
            if error.errno not in LACKING:
                raise
            found.append("it has no hard links: two runs that begin in the same instant may notice each other seconds later")
        descriptor = os.open(probe, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in LACKING:
                raise
            found.append("it cannot flush folders: a loss of power may take back the last units, which are then made again")
        finally:
            os.close(descriptor)
    finally:
        remove(probe)
    return found


def fsync_tree(folder: Path) -> None:
    """``fsync_file`` for every file and folder below ``folder`` and for itself, leaves first."""
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            fsync_file(Path(root) / name)
        fsync_file(Path(root))


def look_again(folder: Path) -> None:
    """Make a shared file system ask its server again which names are in ``folder``; what cannot be opened is left alone."""
    # Clients of NFS remember for a minute that a name was not there. Opening the folder compares its time of change.
    with suppress(OSError):
        os.close(os.open(folder, os.O_RDONLY))


def replace(source: Path, target: Path, trash: Path) -> None:
    """Rename ``source`` to ``target``; a folder that is in the way is first moved into the folder ``trash``."""
    # rename(2) replaces a file but never a folder that is not empty.
    if target.is_dir():
        target.rename(trash / f"old-{target.name}-{secrets.token_hex(4)}")
    source.replace(target)


def write_atomic(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old bytes or the new ones, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.parent / f"{_TMP}{path.name}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with tmp.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        tmp.replace(path)
    except BaseException:
        tmp.unlink(missing_ok=True)
        raise
    fsync_file(path.parent)


def file_digest(path: Path, forward: Callable[[], None] = lambda: None) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits; ``forward`` is called after each mebibyte."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_READ):
            digest.update(block)
            forward()
    return digest.hexdigest()
