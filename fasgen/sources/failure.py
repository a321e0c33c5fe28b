"""The one exception that a source raises for a single bad file or frame."""

from __future__ import annotations

import re

from fasgen.records import Reason

_ADDRESS = re.compile(r"<[^<>]*\bat 0x[0-9a-f]+>|0x[0-9a-f]{8,}")


class SampleError(Exception):
    """One file or frame cannot be used; the caller turns it into a row with this reason.

    The detail is deterministic: it names no folder of the machine and no address in memory, so that manifests of two
    runs can be compared byte by byte.

    Attributes:
        reason: why, from the closed list.
        detail: what was found, in one line.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = _one_line(detail)
        super().__init__(reason, self.detail)

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.detail}"


def describe(error: BaseException) -> str:
    """A library's exception as a deterministic line for whoever owns the file: what it says, without the name of its type."""
    message = _one_line(str(error))
    # These name what the decoder did, not what the file is.
    if not message or isinstance(error, LookupError | AttributeError | AssertionError | TypeError):
        return "its decoder cannot make anything of what it says of itself"
    return "its headers are those of no picture" if message.startswith("cannot identify image file") else message


def _one_line(text: str, limit: int = 300) -> str:
    text = " ".join(_ADDRESS.sub("<object>", text).encode("utf-8", "backslashreplace").decode().split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
