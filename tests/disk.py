"""A file layer that counts every write, flush, rename and removal below a folder, and goes wrong at a chosen one.

It stands between Python and the operating system: ``open``, raw writes, ``fsync``, ``rename``, ``link``, ``mkdir`` and
``unlink``. A crash is a SIGKILL; a loss of power also takes along what was not flushed: bytes of files, and names in folders.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

Fault = Literal["count", "kill", "power", "error", "torn", "short"]

_CALLS = ("open", "write", "fsync", "rename", "replace", "link", "mkdir", "unlink", "rmdir")
_REAL = {name: getattr(os, name) for name in _CALLS}
_OPEN = io.open


class _Raw(io.FileIO):
    """A file whose writes pass through the layer."""

    def __init__(self, disk: Disk, path: Any, mode: str) -> None:
        super().__init__(path, mode)
        self._disk = disk

    def write(self, data: Any) -> int:
        return self._disk.write(self.fileno(), data, super().write)


class Disk:
    """The layer; use `broken`.

    Args:
        root: the folder whose operations count.
        fault: ``count`` only counts; ``kill`` ends the process instead of the operation; ``power`` ends it and loses what
            was not flushed; ``error`` raises ``code`` instead of the operation; ``torn`` does the operation and raises all the
            same; ``short`` writes half of what was given.
        at: number of the operation, from 1 on.
        code: error number.
        lasting: every operation from ``at`` on goes wrong, except removals, not only that one.
    """

    def __init__(self, root: Path, fault: Fault, at: int = 0, code: int = errno.EIO, lasting: bool = False) -> None:
        self.root, self.fault, self.at, self.code, self.lasting = os.fspath(root), fault, at, code, lasting
        self.count = 0
        self.log: list[str] = []
        self._lock = threading.RLock()
        self._unflushed: dict[tuple[int, int], str] = {}
        self._renamed: list[tuple[str, str]] = []

    def inside(self, path: Any) -> bool:
        """Whether a path lies below the root."""
        if isinstance(path, int):
            return False
        return os.path.abspath(os.fsdecode(os.fspath(path))).startswith(self.root + os.sep)  # noqa: PTH100

    def step(self, name: str, path: str, do: Callable[[], Any]) -> Any:
        """One operation, done or not."""
        with self._lock:
            self.count += 1
            self.log.append(f"{name} {path.removeprefix(self.root)}")
            now = self.count == self.at or (self.lasting and 0 < self.at <= self.count and name not in {"unlink", "rmdir"})
            if not now or self.fault in {"count", "short"}:
                return do()
            if self.fault == "power":
                self._lose()
            if self.fault in {"kill", "power"}:
                os.kill(os.getpid(), signal.SIGKILL)
            if self.fault == "torn":
                do()
            raise OSError(self.code, os.strerror(self.code), path)

    def _lose(self) -> None:
        """Take back renames whose folder was not flushed, and cut files that were not flushed.

        A file system writes names down in their order. Removals are not taken back here; so where one has followed upon a
        rename (the folder that it came from, or what it put in place, is gone), that rename and all before it are on the disk.
        """
        for source, target in reversed(self._renamed):
            if not os.path.lexists(target) or not Path(source).parent.is_dir() or os.path.lexists(source):
                break
            _REAL["rename"](target, source)
        for root, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(root, name)  # noqa: PTH118
                status = os.lstat(path)
                if (status.st_dev, status.st_ino) in self._unflushed:
                    os.truncate(path, status.st_size // 2)

    # what is put in the place of the real functions

    def write(self, descriptor: int, data: Any, real: Callable[[Any], int]) -> int:
        status = os.fstat(descriptor)
        self._unflushed[status.st_dev, status.st_ino] = ""
        if self.fault == "short" and len(data) > 1:
            self.count += 1
            return real(memoryview(data)[: max(1, len(data) // 2)])
        return int(self.step("write", str(descriptor), lambda: real(data)))

    def open(self, file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **named: Any) -> Any:
        if isinstance(file, int) or not set(mode) & set("wxa+") or not self.inside(file):
            return _OPEN(file, mode, buffering, *rest, **named)
        raw = self.step("open", os.fspath(file), lambda: _Raw(self, file, mode.replace("b", "").replace("t", "")))
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffered = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *rest, **named)

    def os_open(self, path: Any, flags: int, *rest: Any, **named: Any) -> int:
        def do() -> int:
            return int(_REAL["open"](path, flags, *rest, **named))

        writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return int(self.step("open", os.fspath(path), do)) if writing and self.inside(path) else do()

    def os_write(self, descriptor: int, data: bytes) -> int:
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        if not self.inside(path):
            return int(_REAL["write"](descriptor, data))
        return self.write(descriptor, data, lambda part: int(_REAL["write"](descriptor, part)))

    def fsync(self, descriptor: int) -> None:
        path = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        if not self.inside(path) and path != self.root:
            return
        self.step("fsync", path, lambda: self._flush(descriptor, path))

    def _flush(self, descriptor: int, path: str) -> None:
        # The real call would take most of a test's time and change nothing that it can see.
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self._renamed = [one for one in self._renamed if str(Path(one[1]).parent) != path]
        else:
            self._unflushed.pop((status.st_dev, status.st_ino), None)

    def two(self, name: str) -> Callable[..., Any]:
        """``rename``, ``replace`` or ``link``."""

        def called(source: Any, target: Any, **named: Any) -> Any:
            def do() -> Any:
                fresh = not Path(target).exists()
                found = _REAL[name](source, target, **named)
                if name != "link" and fresh:
                    self._renamed.append((os.fspath(source), os.fspath(target)))
                return found

            return self.step(name, os.fspath(target), do) if self.inside(target) else _REAL[name](source, target, **named)

        return called

    def one(self, name: str) -> Callable[..., Any]:
        """``mkdir``, ``unlink`` or ``rmdir``."""

        def called(path: Any, *rest: Any, **named: Any) -> Any:
            def do() -> Any:
                return _REAL[name](path, *rest, **named)

            # Below an open folder, names come without their path.
            counted = named.get("dir_fd") is not None or self.inside(path)
            return self.step(name, os.fspath(path), do) if counted else do()

        return called


@contextmanager
def broken(disk: Disk) -> Iterator[Disk]:
    """Put the layer between Python and the operating system."""
    replaced: dict[str, Any] = {
        "open": disk.os_open,
        "write": disk.os_write,
        "fsync": disk.fsync,
        **{name: disk.two(name) for name in ("rename", "replace", "link")},
        **{name: disk.one(name) for name in ("mkdir", "unlink", "rmdir")},
    }
    for name, function in replaced.items():
        setattr(os, name, function)
    io.open = builtins.open = disk.open  # type: ignore[assignment]
    try:
        yield disk
    finally:
        for name, function in _REAL.items():
            setattr(os, name, function)
        io.open = builtins.open = _OPEN  # type: ignore[assignment]


def in_child(work: Callable[[], None]) -> int:
    """Run ``work`` in a copy of this process; its wait status: 0, or the signal that ended it, negative."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
