"""A file or folder at an address. Nothing here keeps a file in memory as a whole unless it is asked to."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import IO, Any, Literal, NamedTuple, TypeVar, cast, overload

from fasgen.errors import FasgenError
from fasgen.remote.address import fault_of, scheme_of

T = TypeVar("T")

AT_ONCE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oss", "memory"})
"""Schemes under which an object appears as a whole, or not at all. Elsewhere it is written under another name and renamed."""

_DRAFT = re.compile(r".*\.tmp-[0-9a-f]{8}", re.DOTALL)
_STAMPS = ("etag", "md5hash", "md5", "content-md5", "checksum", "digest")
_TIMES = ("mtime", "lastmodified", "last_modified", "last-modified", "modified", "updated", "created")
_TRIES, _PAUSE = 3, 0.5
_BLOCK = 1 << 20
"""Bytes that are fetched at least where somebody reads here and there: what is passed over is often shorter than that."""


class RemoteError(FasgenError):
    """What is at an address cannot be reached: no driver for it, no network, no permission."""


def is_draft(name: str) -> bool:
    """Whether a name is that of a file that was on its way when its writer was killed."""
    return _DRAFT.fullmatch(name) is not None


class RemoteFile(NamedTuple):
    """A file below a folder.

    Attributes:
        name: path relative to the folder, ``/`` between its parts.
        size: bytes; -1 where the server does not say.
        stamp: what tells one content from another, as the server says it: a digest of its own (``ETag``), else a time of
            change; empty where it says neither.
    """

    name: str
    size: int
    stamp: str


class RemotePath:
    """A place at an address. Equal addresses are equal; it can be sent to another process, which opens it anew.

    Credentials are taken from where the driver of the scheme looks for them: the environment, its own files, or
    ``~/.config/fsspec``. They stand in no address.

    Args:
        address: ``scheme://...``.

    Raises:
        ValueError: it is no address, or none that can be used; it says what to write.
    """

    __slots__ = ("_address",)

    def __init__(self, address: str) -> None:
        if not scheme_of(address) or (why := fault_of(address)):
            raise ValueError(f"{address!r} {why if scheme_of(address) else 'is no address'}")
        self._address = address.rstrip("/")

    def __str__(self) -> str:
        return self._address

    def __repr__(self) -> str:
        return f"RemotePath({self._address!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and other._address == self._address

    def __hash__(self) -> int:
        return hash(self._address)

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (self._address,)

    def __truediv__(self, name: str) -> RemotePath:
        return RemotePath(f"{self._address}/{name}")

    @property
    def scheme(self) -> str:
        """Its scheme, in lower case."""
        return scheme_of(self._address)

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self._address.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """Extension with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> RemotePath:
        """The folder above."""
        return RemotePath(self._address.rpartition("/")[0])

    def exists(self) -> bool:
        """Whether a file or a folder that is not empty is there.

        Raises:
            RemoteError: that cannot be found out.
        """
        return self._ask(lambda files, path: bool(files.exists(path)))

    def is_file(self) -> bool:
        """Whether a file is there.

        Raises:
            RemoteError: that cannot be found out.
        """
        return self._ask(lambda files, path: bool(files.isfile(path)))

    def is_dir(self) -> bool:
        """Whether files are below it.

        Raises:
            RemoteError: that cannot be found out.
        """
        return self._ask(lambda files, path: bool(files.isdir(path)))

    def files(self) -> list[RemoteFile]:
        """All files below, in no particular order; those whose names no folder could hold are left out.

        Raises:
            RemoteError: they cannot be listed.
        """

        def listed(files: Any, path: str) -> dict[str, Any]:
            with suppress(FileNotFoundError):
                return cast(dict[str, Any], files.find(path, detail=True))
            return {}

        top = self._ask(lambda files, path: str(files._strip_protocol(path)).rstrip("/") + "/")
        found = []
        for path, facts in self._ask(listed).items():
            name = path.removeprefix(top) if path.startswith(top) else path.lstrip("/")
            if name and not any(part in ("", ".", "..") for part in name.split("/")):
                found.append(self._file(name, facts))
        return found

    def _file(self, name: str, facts: dict[str, Any]) -> RemoteFile:
        if facts.get("size") is None:
            # Servers of plain HTTP say nothing of a file before they are asked for it.
            facts = (self / name)._facts()
        size = facts.get("size")
        return RemoteFile(name, -1 if size is None else int(size), _stamp(facts))

    def _facts(self) -> dict[str, Any]:
        return self._ask(lambda files, path: cast(dict[str, Any], files.info(path)))

    def file(self) -> RemoteFile:
        """What the server says of this file.

        Raises:
            FileNotFoundError: it is not there.
            RemoteError: it cannot be asked.
        """
        facts = self._facts()
        size = facts.get("size")
        return RemoteFile(self.name, -1 if size is None else int(size), _stamp(facts))

    def read(self, start: int | None = None, stop: int | None = None) -> bytes:
        """Bytes ``start`` to ``stop``, or all.

        Raises:
            FileNotFoundError: it is not there.
            RemoteError: it cannot be read.
        """
        return self._ask(lambda files, path: cast(bytes, files.cat_file(path, start=start, end=stop)))

    def absolute(self) -> RemotePath:
        """Itself: an address is the same wherever it is read."""
        return self

    @overload
    def open(self, mode: Literal["rb"]) -> io.BufferedReader: ...
    @overload
    def open(
        self, mode: str = "r", *, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> IO[Any]: ...
    def open(
        self, mode: str = "r", *, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> IO[Any]:
        """Open for reading, with a place in it that can be moved; blocks are fetched as they are wanted, and one is kept.

        Raises:
            FileNotFoundError: it is not there.
            RemoteError: it cannot be read.
        """
        raw = self._ask(lambda files, path: files.open(path, "rb", block_size=_BLOCK, cache_type="readahead"))
        stream = io.BufferedReader(_Raw(raw, self))
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding=encoding, errors=errors, newline=newline)

    def blocks(self, size: int = 1 << 23) -> Iterator[bytes]:
        """Its bytes from first to last, a block at a time.

        Raises:
            FileNotFoundError: it is not there.
            RemoteError: it cannot be read.
        """
        with self.open("rb") as stream:
            while block := stream.read(size):
                yield block

    def write(self, content: bytes | Path) -> None:
        """Put bytes, or those of a file of this machine, there: a reader sees the old ones or the new ones, never a part.

        Raises:
            RemoteError: they cannot be written.
        """

        def put(files: Any, path: str) -> None:
            at_once = self.scheme in AT_ONCE
            if not at_once:
                with suppress(FileExistsError):
                    files.makedirs(path.rpartition("/")[0], exist_ok=True)
            there = path if at_once else f"{path}.tmp-{token_hex(4)}"
            if isinstance(content, bytes):
                files.pipe_file(there, content)
            else:
                files.put_file(str(content), there)
            if not at_once:
                files.mv(there, path)

        self._ask(put)

    def remove(self) -> None:
        """Remove this file; one that is not there is no error.

        Raises:
            RemoteError: it cannot be removed.
        """

        def gone(files: Any, path: str) -> None:
            with suppress(FileNotFoundError):
                files.rm_file(path)

        self._ask(gone)

    def _ask(self, question: Callable[[Any, str], T]) -> T:
        """Ask the driver, again where the network fails; what it raises is told with the address."""
        files, path = _driver(self._address)
        for turn in range(1, _TRIES + 1):
            try:
                files.invalidate_cache()
                return question(files, path)
            except FileNotFoundError:
                raise
            except Exception as error:
                # Drivers raise what their libraries raise; permissions do not mend themselves.
                if turn == _TRIES or isinstance(error, PermissionError | NotImplementedError | ImportError | ValueError):
                    raise self._told(error) from error
                time.sleep(_PAUSE * turn)
        raise AssertionError

    def _told(self, error: Exception) -> RemoteError:
        said = " ".join(str(error).split()) or type(error).__name__
        return RemoteError(f"{self._address}: {said[:300]}: mend the address, its permissions or the network")


class _Raw(io.RawIOBase):
    """A driver's file as Python's own layers take it; its errors name the address."""

    def __init__(self, inner: Any, path: RemotePath) -> None:
        self._inner, self._path = inner, path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._inner.seek(offset, whence))

    def tell(self) -> int:
        return int(self._inner.tell())

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._inner.read(len(buffer))
        except Exception as error:
            raise self._path._told(error) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()


def _driver(address: str) -> tuple[Any, str]:
    """The file system of an address, and its path there; fsspec keeps one of each kind.

    Raises:
        RemoteError: fsspec, or its driver for the scheme, is not installed.
    """
    scheme = scheme_of(address)
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise RemoteError(f'{scheme}:// needs fsspec: pip install "fasgen[remote]"') from None
    try:
        files, path = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise RemoteError(
            f"{scheme}:// cannot be opened: {' '.join(str(error).split())}. fasgen[remote] brings the drivers of s3:// and "
            "http(s)://; others are packages of their own (gcsfs for gs://, adlfs for abfs://)"
        ) from None
    return files, str(path)


def _stamp(facts: dict[str, Any]) -> str:
    said = {str(name).lower(): value for name, value in facts.items() if value not in (None, "")}
    for name in _STAMPS:
        if name in said:
            return f"{name}:{str(said[name]).strip(chr(34))}"
    for name in _TIMES:
        if name in said:
            value = said[name]
            return f"time:{value.timestamp() if isinstance(value, datetime) else value}"
    return ""
