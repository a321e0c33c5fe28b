"""Where a store is shipped to: a folder of this machine, or an address."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from fasgen.errors import StoreError
from fasgen.manifests import atomic
from fasgen.remote.path import RemoteError, RemotePath, is_draft

_BLOCK = 1 << 20
_SMALL = 1 << 23
"""Bytes of a file that is sent from memory."""


class Target(Protocol):
    """Files by name, ``/`` between the parts of a name. A file appears as a whole or not at all."""

    parallel: int
    """Lots that are sent at a time."""

    def sizes(self) -> dict[str, int]:
        """Bytes of every file that is there, by name.

        Raises:
            StoreError: they cannot be listed.
        """
        ...

    def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            StoreError: it is not there, or cannot be read.
        """
        ...

    def write(self, name: str, content: bytes) -> None:
        """Put bytes there.

        Raises:
            StoreError: they cannot be written.
        """
        ...

    def send(self, name: str, file: Path, digest: str) -> str:
        """Put a file there, unless its bytes have another digest than ``digest`` (empty: any); the digest that they have.

        Raises:
            StoreError: it cannot be written.
            OSError: the file cannot be read.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file, if it is there.

        Raises:
            StoreError: it cannot be removed.
        """
        ...

    def tidy(self) -> None:
        """Remove what was on its way when a call before was killed, as `sizes` has found it.

        Raises:
            StoreError: it cannot be removed.
        """
        ...


class Folder:
    """A folder of this machine, made where it is missing.

    Args:
        path: the folder.
    """

    parallel = 2

    def __init__(self, path: Path) -> None:
        self._path = path
        self._drafts: list[Path] = []

    def __str__(self) -> str:
        return str(self._path)

    def sizes(self) -> dict[str, int]:
        found = {}
        self._drafts = []
        for folder, below, names in os.walk(self._path, onerror=self._fail):
            drafts = atomic.leftovers(Path(folder))
            self._drafts += drafts
            below[:] = [name for name in below if Path(folder, name) not in drafts]
            for name in names:
                path = Path(folder, name)
                if path not in drafts:
                    found[path.relative_to(self._path).as_posix()] = path.lstat().st_size
        return found

    def tidy(self) -> None:
        for path in self._drafts:
            atomic.remove(path)

    def _fail(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise StoreError(f"{error.filename}: cannot be listed ({error.strerror}): mend its permissions")

    def read(self, name: str) -> bytes:
        try:
            return (self._path / name).read_bytes()
        except OSError as error:
            raise self._error(name, error, "read") from error

    def write(self, name: str, content: bytes) -> None:
        try:
            atomic.write_atomic(self._path / name, content)
        except OSError as error:
            raise self._error(name, error, "written") from error

    def send(self, name: str, file: Path, digest: str) -> str:
        total = hashlib.sha256()
        with file.open("rb") as source:
            target = self._path / name
            try:
                draft = atomic.tmp_folder(target.parent, target.name)
            except OSError as error:
                raise self._error(name, error, "written") from error
            try:
                with (draft / "file").open("xb") as stream:
                    while block := source.read(_BLOCK):
                        total.update(block)
                        stream.write(block)
                found = total.hexdigest()
                if digest in ("", found):
                    atomic.fsync_file(draft / "file")
                    (draft / "file").replace(target)
                    atomic.fsync_file(target.parent)
            except OSError as error:
                raise self._error(name, error, "written") from error
            finally:
                atomic.remove(draft)
        return found

    def remove(self, name: str) -> None:
        try:
            (self._path / name).unlink(missing_ok=True)
            for folder in (self._path / name).parents:
                if folder == self._path or any(folder.iterdir()):
                    break
                folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._error(name, error, "removed") from error

    def _error(self, name: str, error: OSError, what: str) -> StoreError:
        return StoreError(
            f"{self._path / name}: cannot be {what} ({error.strerror}): free space or mend its permissions, and give the same "
            "command again"
        )


class Remote:
    """What is at an address.

    Args:
        path: the address of a folder.
    """

    parallel = 8

    def __init__(self, path: RemotePath) -> None:
        self._path = path
        self._drafts: list[str] = []

    def __str__(self) -> str:
        return str(self._path)

    def sizes(self) -> dict[str, int]:
        try:
            found = {one.name: one.size for one in self._path.files()}
        except RemoteError as error:
            raise StoreError(str(error)) from error
        self._drafts = [name for name in found if is_draft(name)]
        return {name: size for name, size in found.items() if not is_draft(name)}

    def tidy(self) -> None:
        for name in self._drafts:
            self.remove(name)

    def read(self, name: str) -> bytes:
        try:
            return (self._path / name).read()
        except FileNotFoundError:
            raise StoreError(f"{self._path / name}: is not there any more: give the same command again") from None
        except RemoteError as error:
            raise StoreError(str(error)) from error

    def write(self, name: str, content: bytes) -> None:
        self._write(name, content)

    def send(self, name: str, file: Path, digest: str) -> str:
        if file.stat().st_size <= _SMALL:
            content = file.read_bytes()
            found = hashlib.sha256(content).hexdigest()
            if digest in ("", found):
                self._write(name, content)
            return found
        found = atomic.file_digest(file)
        if digest in ("", found):
            self._write(name, file)
        return found

    def _write(self, name: str, content: bytes | Path) -> None:
        try:
            (self._path / name).write(content)
        except (RemoteError, FileNotFoundError) as error:
            raise StoreError(f"{error}: then give the same command again") from error

    def remove(self, name: str) -> None:
        try:
            (self._path / name).remove()
        except RemoteError as error:
            raise StoreError(str(error)) from error
