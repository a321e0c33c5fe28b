"""A document and its columns of numbers as one text that no parser of HTML can be led astray by.

The bytes are: length of the JSON (uint32), the JSON padded with spaces so that both have a multiple of 8 bytes, then the
columns, each padded to 8; all little-endian, gzipped without a time, in base64. Whatever file names and labels hold, the text
has letters, digits, + / = only.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES = {"u1": "u1", "u2": "u2", "i4": "i4", "f4": "f4", "i8": "i8"}


class Bundle:
    """Collects columns while a document is made that refers to them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._end = 0

    def column(self, values: NDArray[Any]) -> dict[str, list[Any]]:
        """Store a column; what comes back stands for it in the document: type, offset and length."""
        kind = _TYPES[values.dtype.str[1:]]
        data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        place = {"$": [kind, self._end, len(values)]}
        self._parts += [data, bytes(-len(data) % 8)]
        self._end += len(data) + -len(data) % 8
        return place

    def words(self, values: list[str | None]) -> dict[str, Any]:
        """A column of few different texts: the texts, and a number for each value; 0 stands for none."""
        known: dict[str | None, int] = {None: 0}
        codes = np.fromiter((known.setdefault(value, len(known)) for value in values), np.int32, len(values))
        return {"words": [None, *list(known)[1:]], "codes": self.column(codes)}

    def encode(self, document: object) -> str:
        """The document with its columns."""
        text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # Lone surrogates cannot be stored in a manifest, but a folder's name may have them.
        data = text.encode("utf-8", "backslashreplace")
        data += b" " * (-(len(data) + 4) % 8)
        whole = len(data).to_bytes(4, "little") + data + b"".join(self._parts)
        return base64.b64encode(gzip.compress(whole, 6, mtime=0)).decode("ascii")
