"""Samples inside the tars of a WebDataset: files of one key lie beside each other, ``<key>.jpg`` and ``<key>.json``."""

from __future__ import annotations

import json
import os
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fasgen.records import Reason
from fasgen.remote.path import RemotePath
from fasgen.sources.config import DETAILS, FIELDS, Limits
from fasgen.sources.contained.clip import Clip
from fasgen.sources.container import sniff_video
from fasgen.sources.failure import SampleError, describe
from fasgen.sources.image import decode_image, sniff_image

if TYPE_CHECKING:
    from fasgen.sources.contained import Picker
    from fasgen.stages.stage import RGB

_LARGEST_TEXT = 1 << 20


@dataclass(frozen=True)
class Samples:
    """What a tar holds.

    Attributes:
        members: size in bytes, and what the key's ``.json`` and ``.cls`` say of it, by member name.
        doubled: how often there are members of one name; the last counts.
        cut: what is wrong where the tar ends before it should; empty where it is whole.
    """

    members: Mapping[str, tuple[int, dict[str, str]]]
    doubled: Mapping[str, int]
    cut: str = ""


def list_samples(file: Path | RemotePath) -> Samples:
    """List a tar. Pictures are passed over; only the small members that label them are read.

    Raises:
        SampleError: it cannot be read, is no tar, or is cut before its first member.
    """
    sizes: dict[str, int] = {}
    said: dict[str, dict[str, str]] = {}
    times: Counter[str] = Counter()
    cut = ""
    with _opened(file) as tar:
        for member, wrong in _members(tar):
            if member is None:
                cut = wrong
                break
            key, extension = _key(member.name)
            if extension in ("json", "cls") and member.size <= _LARGEST_TEXT:
                said.setdefault(key, {}).update(_labels(extension, _text(tar, member)))
            sizes[member.name] = member.size
            times[member.name] += 1
    if cut and not sizes:
        raise SampleError(Reason.CORRUPT, f"tar: {cut}")
    doubled = {name: count for name, count in times.items() if count > 1}
    return Samples({name: (size, said.get(_key(name)[0], {})) for name, size in sizes.items()}, doubled, cut)


@contextmanager
def _opened(file: Path | RemotePath) -> Iterator[tarfile.TarFile]:
    try:
        if packed := _compression(file):
            raise SampleError(Reason.NOT_MEDIA, f"is compressed by {packed}, in which no member can be found: unpack it")
        with file.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:", tarinfo=_Bounded) as tar:
            yield tar
    except (tarfile.TarError, EOFError) as error:
        raise SampleError(Reason.CORRUPT, f"tar: {describe(error)}") from error
    except OSError as error:
        raise SampleError(Reason.UNREADABLE, error.strerror or "cannot be read") from error


_COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}


def _compression(file: Path | RemotePath) -> str:
    with file.open("rb") as stream:
        head = stream.read(6)
    return next((name for mark, name in _COMPRESSED.items() if head.startswith(mark)), "")


class _Bounded(tarfile.TarInfo):
    """A header whose extensions are read into memory only where they are as long as names and dates are.

    The methods are the ones that `tarfile` documents for subclasses in its source, by type of header.
    """

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _EXTENSIONS and self.size > _LARGEST_TEXT:
            raise tarfile.ReadError(f"an extended header of {self.size} bytes, more than {_LARGEST_TEXT}")
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(_SPARSE)
        found: tarfile.TarInfo = super()._proc_member(tar)  # type: ignore[misc]
        return found

    def _proc_gnusparse_10(self, *_: object) -> None:
        raise tarfile.ReadError(_SPARSE)


_EXTENSIONS = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
_SPARSE = "a member with holes: pack it without --sparse"


def _members(tar: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo | None, str]]:
    """The regular files of a tar; where it is cut, None and what is wrong comes last."""
    try:
        for member in tar:
            if member.issparse():
                raise tarfile.ReadError(_SPARSE)
            if member.isreg():
                yield member, ""
        if wrong := _no_end(tar):
            yield None, wrong
    except (tarfile.TarError, EOFError) as error:
        yield None, describe(error)


def _no_end(tar: tarfile.TarFile) -> str:
    """What stands where the last member ends, if not the mark of an archive's end; `tarfile` takes all else for one, too."""
    assert tar.fileobj
    tar.fileobj.seek(tar.offset)
    block = tar.fileobj.read(tarfile.BLOCKSIZE)
    if len(block) == tarfile.BLOCKSIZE and not any(block):
        return ""
    return f"no header at byte {tar.offset}" if block else "the mark of its end is missing"


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    try:
        stream = tar.extractfile(member)
        return stream.read() if stream else b""
    except tarfile.TarError:
        # The cut is told by the member that follows, which is not there.
        return b""


def _key(name: str) -> tuple[str, str]:
    """A member's key and extension: the name is cut at the first dot of its last part, as WebDataset does."""
    folder, slash, base = name.rpartition("/")
    stem, _, extension = base.partition(".")
    return f"{folder}{slash}{stem}", extension.lower()


def _labels(extension: str, data: bytes) -> dict[str, str]:
    text = data.decode("utf-8", "replace").strip()
    if extension == "cls":
        return {"label": text} if text else {}
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(record, dict):
        return {}
    return {
        name: str(value)
        for name in (*FIELDS, *DETAILS)
        if isinstance(value := record.get(name), str | int) and not isinstance(value, bool) and str(value)
    }


class Tar:
    """Reads members; the index of the tar read last is kept."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._file: Path | RemotePath | None = None
        self._places: dict[str, tuple[int, int]] = {}
        self._clip: tuple[tuple[Path | RemotePath, str], Clip] | None = None

    def read(self, root: Path | RemotePath, path: str, part: str, pick: Picker | None) -> tuple[RGB, int | None]:
        """The picture, or the frame of a video, at ``<tar>/<member>``.

        Raises:
            SampleError: there is no such member, or it cannot be decoded.
        """
        file, name = self._split(root, path)
        if self._file != file:
            self._places, self._file = {}, None
            with _opened(file) as tar:
                members = [member for member, _ in _members(tar) if member is not None]
            self._places = {member.name: (member.offset_data, member.size) for member in members}
            self._file = file
        if name not in self._places:
            raise SampleError(Reason.UNREADABLE, "the tar has no such member any more")
        offset, size = self._places[name]
        if size > self._limits.max_bytes:
            raise SampleError(Reason.TOO_LARGE, f"{size} bytes, more than max_bytes = {self._limits.max_bytes}")
        data = file.read(offset, offset + size) if isinstance(file, RemotePath) else _part(file, offset, size)
        if len(data) != size:
            raise SampleError(Reason.CORRUPT, f"the tar ends after {len(data)} of {size} bytes of it")
        if not data:
            raise SampleError(Reason.EMPTY_FILE, "0 bytes")
        if pick is None:
            if sniff_image(data[:256]) is None and sniff_video(data[:256]):
                raise SampleError(
                    Reason.NOT_MEDIA, f"is a {sniff_video(data[:256])} video under the name of an image; rename it"
                )
            return decode_image(data, self._limits), None
        if self._clip is None or self._clip[0] != (file, name):
            self._clip = None
            self._clip = (file, name), Clip(data, self._limits)
        return self._clip[1].frame(pick)

    def _split(self, root: Path | RemotePath, path: str) -> tuple[Path | RemotePath, str]:
        """The tar, and the member's name inside."""
        if self._file is not None and f"{root / path}".startswith(f"{self._file}/"):
            return self._file, f"{root / path}".removeprefix(f"{self._file}/")
        parts = path.split("/")
        for count in range(1, len(parts)):
            file = root / "/".join(parts[:count])
            if file.is_file():
                return file, "/".join(parts[count:])
        raise SampleError(Reason.UNREADABLE, os.strerror(2))


def _part(file: Path, offset: int, size: int) -> bytes:
    with file.open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)
