"""What a video file says of itself in its outermost structure, read without decoding.

A decoder stops at the end of a truncated file as it stops at the end of a whole one. The container knows better: its
boxes or chunks state their sizes, and a size that reaches beyond the file means that part of the video is gone.
"""

from __future__ import annotations

import os

from fasgen.records import Reason
from fasgen.sources.failure import SampleError

_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"styp")
_SEGMENT = b"\x18\x53\x80\x67"
# Writers differ on whether a RIFF size counts its own 8-byte header.
_RIFF_SLACK = 8


def sniff_video(head: bytes) -> str | None:
    """Container of a video by its first bytes. Playlists (HLS, concat) are none: they would make ffmpeg open other files."""
    if head[4:8] in _BOXES:
        return "MP4"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "Matroska"
    if head[:4] in (b"\0\0\x01\xba", b"\0\0\x01\xb3"):
        return "MPEG"
    if len(head) > 196 and ((head[0] == head[188] == 0x47) or (head[4] == head[196] == 0x47)):
        return "MPEG-TS"
    for signature, name in ((b"FLV\x01", "FLV"), (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF"), (b"OggS", "Ogg")):
        if head.startswith(signature):
            return name
    return None


def check_complete(file: int, size: int, kind: str) -> None:
    """Refuse a file that ends before its container says so.

    Args:
        file: descriptor, open for reading; its position is left alone.
        size: the file's size, bytes.
        kind: container, as `sniff_video` names it. Others than MP4, AVI and Matroska say nothing and pass.

    Raises:
        SampleError: ``CORRUPT``.
    """
    if kind == "MP4":
        _mp4(file, size)
    elif kind == "AVI":
        _avi(file, size)
    elif kind == "Matroska":
        _matroska(file, size)


def _mp4(file: int, size: int) -> None:
    at, names = 0, set()
    while at + 8 <= size:
        head = os.pread(file, 16, at)
        length, name = int.from_bytes(head[:4], "big"), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        elif length == 0:
            length = size - at
        if length < 8:
            # Padding after the last box; whatever matters must have come before it.
            break
        if at + length > size:
            raise _cut("MP4", size, at + length)
        names.add(name)
        at += length
    if b"moov" not in names:
        raise SampleError(Reason.CORRUPT, "MP4: no index (moov); the recording or copying was cut short")


def _avi(file: int, size: int) -> None:
    at = 0
    while at + 12 <= size:
        head = os.pread(file, 8, at)
        length = int.from_bytes(head[4:8], "little")
        # A recorder that streams leaves the size at 0; what follows the RIFF chunks is no longer AVI.
        if head[:4] != b"RIFF" or length == 0:
            return
        if at + length > size + _RIFF_SLACK:
            raise _cut("AVI", size, at + length + 8)
        _riff_chunks(file, at + 12, min(at + 8 + length, size))
        at += 8 + length + length % 2


def _riff_chunks(file: int, at: int, end: int) -> None:
    """Follow the chain of chunks, the frames' own among them, from one size to the next."""
    while at + 8 <= end:
        head = os.pread(file, 12, at)
        name, length = head[:4], int.from_bytes(head[4:8], "little")
        if not all(32 <= byte < 127 for byte in name):
            raise SampleError(Reason.CORRUPT, f"AVI: no chunk at byte {at}, where the one before it ends")
        # Lists of frames are entered; a list's length may be 0 for the same reason as the file's.
        at += 12 if name == b"LIST" and head[8:12] in (b"movi", b"rec ") else 8 + length + length % 2


def _matroska(file: int, size: int) -> None:
    at = 0
    for _ in range(8):
        head = os.pread(file, 12, at)
        if len(head) < 5:
            return
        width = 4 if head[:4] == _SEGMENT or at == 0 else _vint_width(head[0])
        length_width = _vint_width(head[width]) if width < len(head) else 0
        if not width or not length_width:
            return
        field = head[width : width + length_width]
        length = int.from_bytes(field, "big") & ((1 << 7 * length_width) - 1)
        unknown = length == (1 << 7 * length_width) - 1
        end = at + width + length_width + length
        if not unknown and end > size:
            raise _cut("Matroska", size, end)
        if unknown or head[:4] == _SEGMENT:
            return
        at = end


def _vint_width(first: int) -> int:
    """Bytes of an EBML number (RFC 8794, section 4) by its first byte; 0 if that is none."""
    return 9 - first.bit_length() if first else 0


def _cut(kind: str, size: int, stated: int) -> SampleError:
    return SampleError(Reason.CORRUPT, f"{kind}: truncated, the file has {size} of the {stated} bytes its header states")
