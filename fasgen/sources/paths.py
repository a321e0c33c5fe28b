r"""File names as text that any file format can hold, and back again, without loss.

A POSIX name is bytes. A manifest column is UTF-8 text. ``escape`` keeps what is printable UTF-8 as it is and writes every
other byte (undecodable bytes, control characters such as newline, and the backslash itself) as ``\xNN``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable

_HEX = re.compile(r"\\x([0-9a-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def escape(path: str) -> str:
    r"""Write a path as the operating system gave it (``surrogateescape``) as plain text on one line.

    Args:
        path: relative path, ``/`` between its parts.

    Returns:
        valid UTF-8 text without control characters; equal results mean equal bytes on disk.
    """
    if path.isascii() and path.isprintable() and "\\" not in path:
        return path
    # No multi-byte character of UTF-8 holds the byte of a backslash, so splitting there cuts none.
    text = r"\x5c".join(part.decode("utf-8", "backslashreplace") for part in os.fsencode(path).split(b"\\"))
    return _CONTROL.sub(lambda found: "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8")), text)


def unescape(text: str) -> str:
    """The inverse of `escape`: the path as ``os`` functions take it.

    Raises:
        ValueError: a backslash is not followed by ``x`` and two lower-case hex digits.
    """
    if text.count("\\") != len(_HEX.findall(text)):
        raise ValueError(f"not an escaped path, a backslash stands for itself: {text!r}; write it as \\x5c")
    parts = _HEX.split(text)
    raw = b"".join(bytes.fromhex(part) if i % 2 else part.encode("utf-8") for i, part in enumerate(parts))
    return os.fsdecode(raw)


def sample_id(dataset: str, path: str, frame: int | None) -> str:
    """Identity of a sample: 16 hex digits of SHA-256 over data set, escaped path and requested frame number.

    Args:
        dataset: name of the source.
        path: escaped relative path.
        frame: number k of the requested frame, 0-based; None for a still.
    """
    return sample_ids(dataset, path, (frame,))[0]


def sample_ids(dataset: str, path: str, frames: Iterable[int | None]) -> list[str]:
    """Identities of several frames of one file, as `sample_id` gives each."""
    file = f"{dataset}\x1f{path}\x1f".encode()
    keys = (file if frame is None else b"%b%d" % (file, frame) for frame in frames)
    return [hashlib.sha256(key).hexdigest()[:16] for key in keys]
