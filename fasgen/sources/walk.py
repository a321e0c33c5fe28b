"""The files of a folder, and which of them may be media: by name and size alone."""

# ruff: noqa: SIM905 (lists of extensions read better as words)

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from pathlib import Path

from fasgen.errors import SourceError
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Follow
from fasgen.sources.odd import Oddities
from fasgen.sources.paths import escape

VIDEO_EXTENSIONS = frozenset("mp4 m4v mov qt avi mkv webm mpg mpeg m2v ts mts m2ts flv wmv asf 3gp 3g2 ogv vob".split())
OTHER_EXTENSIONS = frozenset(
    "txt csv tsv json jsonl ndjson md rst html htm xml yaml yml toml ini cfg conf log lst list face pdf doc docx odt xls xlsx "
    "ods ppt pptx zip tar gz tgz bz2 xz zst 7z rar parquet arrow feather npy npz h5 hdf5 mat pkl pickle pt pth ckpt onnx "
    "safetensors lz4 db sqlite sqlite3 py ipynb sh bat m c h cpp js css exe dll so wav mp3 m4a flac aac srt vtt md5 sha1 "
    "sha256 bib tex lock part tmp".split()
)
"""Extensions (lower case) of files that are listed as skipped, not as rows."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files are taken, by name."""

    include: Globs | None
    exclude: Globs | None

    @staticmethod
    def of(include: Sequence[str], exclude: Sequence[str]) -> Selection:
        """By globs on the relative path."""
        return Selection(Globs(include) if include else None, Globs(exclude) if exclude else None)

    def against(self, path: str) -> str | None:
        """Why a path is left out, or None."""
        kind = extension(path)
        if kind in OTHER_EXTENSIONS:
            return f"not media: .{kind}"
        return None if self.includes(path) else "excluded"

    def includes(self, path: str) -> bool:
        """Whether the globs keep a path."""
        if self.include is not None and not self.include.match(path):
            return False
        return self.exclude is None or not self.exclude.match(path)

    def idle(self) -> list[tuple[str, str]]:
        """Globs that no file has needed so far, and where they stand: none matched, or one before them matched as well."""
        both = (("include", self.include), ("exclude", self.exclude))
        return [(glob, name) for name, globs in both if globs is not None for glob in globs.idle()]


class Globs:
    """Globs as one expression, blind to the case of extensions; remembers which of them have matched."""

    def __init__(self, globs: Sequence[str]) -> None:
        self._globs = globs
        self._pattern = re.compile("|".join(f"({translate(_any_case(glob))})" for glob in globs))
        self._used: set[int | None] = set()

    def match(self, path: str) -> bool:
        """Whether one of them matches a path."""
        found = self._pattern.match(path)
        if found:
            self._used.add(found.lastindex)
        return found is not None

    def idle(self) -> list[str]:
        """Those that were never the first to match."""
        return [glob for number, glob in enumerate(self._globs, start=1) if number not in self._used]


def _any_case(glob: str) -> str:
    """A glob whose extension, where it ends with one in plain letters, is met in capitals as well: cameras write ``.JPG``."""
    stem, dot, kind = glob.rpartition(".")
    plain = kind.isascii() and kind.isalnum() and "[" not in stem.rpartition("]")[2]
    letters = (f"[{letter.lower()}{letter.upper()}]" if letter.isalpha() else letter for letter in kind)
    return stem + dot + "".join(letters) if dot and plain else glob


def extension(path: str) -> str:
    """What stands behind the last dot of a file's name, in lower case; empty where nothing does."""
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name.lstrip(".") else ""


def in_order(paths: Collection[str]) -> list[str]:
    """Paths in order of their bytes."""
    return sorted(paths, key=None if all(map(str.isascii, paths)) else os.fsencode)


def walk(root: Path | RemotePath, follow: Follow, skipped: Counter[str], odd: Oddities) -> Iterator[tuple[str, int, int | str]]:
    """Yield (relative path, size, stamp) of every file that may be media, in no particular order.

    The stamp is the time of change in ns, at an address what the server says of the content (its ``ETag``, else a time). Size
    and stamp are 0 where they cannot be found out. Links out of the root that are not followed are seen as odd.
    """
    return _at_address(root, skipped) if isinstance(root, RemotePath) else _in_folder(root, follow, skipped, odd)


def _at_address(root: RemotePath, skipped: Counter[str]) -> Iterator[tuple[str, int, str]]:
    for file in root.files():
        if any(part.startswith(".") for part in file.name.split("/")):
            skipped["hidden"] += 1
        else:
            yield file.name, max(file.size, 0), file.stamp


def is_reached(root: Path, path: str, follow: Follow) -> bool:
    """Whether the links on the way to what a table names may all be followed; so it is where there are none.

    Args:
        root: the source's folder.
        path: relative path, as ``os`` gives it.
        follow: which links are.
    """
    top, found = os.path.realpath(root), os.path.realpath(root / path)
    if follow == "inside":
        return found.startswith(top.rstrip("/") + "/")
    return follow or found == os.path.normpath(os.path.join(top, path))  # noqa: PTH118


def _in_folder(root: Path, follow: Follow, skipped: Counter[str], odd: Oddities) -> Iterator[tuple[str, int, int]]:
    top = root.stat()
    inside = _Inside(root)
    # Each pending folder carries the identities of the folders above it: a link back to one of them would never end.
    pending: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(os.fspath(root), "", frozenset({(top.st_dev, top.st_ino)}))]
    while pending:
        folder, prefix, above = pending.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError as error:
            if not prefix:
                raise SourceError(f"the folder {folder} cannot be listed: {error.strerror}; check its permissions") from error
            yield prefix[:-1], 0, 0
            continue
        for entry in entries:
            path = prefix + entry.name
            if entry.name.startswith("."):
                skipped["hidden"] += 1
                continue
            if entry.is_symlink():
                if not follow:
                    skipped["symbolic link"] += 1
                    continue
                if follow == "inside" and inside.is_left_by(entry.path):
                    skipped["symbolic link"] += 1
                    odd.see("outside", escape(path))
                    continue
            try:
                found = entry.stat()
            except OSError:
                yield path, 0, 0
                continue
            if stat.S_ISDIR(found.st_mode):
                identity = (found.st_dev, found.st_ino)
                if identity in above:
                    yield path, 0, 0
                else:
                    pending.append((entry.path, path + "/", above | {identity}))
            elif stat.S_ISREG(found.st_mode):
                yield path, found.st_size, found.st_mtime_ns
            else:
                skipped["not a regular file"] += 1


class _Inside:
    """Tells links that lead out of a folder from those that do not."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)
        self._real = lru_cache(maxsize=1 << 12)(os.path.realpath)

    def is_left_by(self, link: str) -> bool:
        """Whether a link leads to what is not below the folder."""
        try:
            folder, _, name = os.path.join(os.path.dirname(link), os.readlink(link)).rpartition("/")  # noqa: PTH115, PTH118, PTH120
        except OSError:
            # The decoder says what is wrong with it.
            return False
        target = os.path.join(self._real(folder), name)  # noqa: PTH118
        if name in ("", ".", "..") or os.path.islink(target):  # noqa: PTH114
            target = os.path.realpath(link)
        return target != self._root and not target.startswith(self._root.rstrip("/") + "/")
