"""Tables as people write them: CSV by any of the usual separators and encodings, read as text and nothing but text."""

from __future__ import annotations

import codecs
import csv
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Protocol

_HEAD = 1 << 12
_SEPARATORS = ",;\t"
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Openable(Protocol):
    """What can be opened for reading, as a path can."""

    def open(
        self, mode: str = "r", *, encoding: str | None = None, errors: str | None = None, newline: str | None = None
    ) -> IO[Any]: ...


def read_csv(file: Path | Openable, needs: Sequence[str] = ()) -> Iterator[dict[str, str]]:
    """Records of a table, one after the other.

    The separator is the comma, semicolon or tab that the header has most of (or that a first line ``sep=;`` names); the
    encoding is UTF-8, or UTF-16 by its mark or its zero bytes, and bytes that are none stay what they are
    (``surrogateescape``). Blanks around names and cells are none of theirs; names are lower case; lines without text are
    passed over.

    Args:
        file: the table.
        needs: columns that there must be, in lower case.

    Yields:
        text by column; a cell that is not there is empty.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such table: a needed column is missing, two have one name, a line has more cells than the header.
    """
    with file.open("rb") as raw:
        encoding = _encoding(raw.read(_HEAD))
    errors = "strict" if encoding.startswith("utf-16") else "surrogateescape"
    with file.open(encoding=encoding, errors=errors, newline="") as stream:
        first = stream.readline()
        told = first.strip().strip('"').lower()
        separator = told[4:] or "\t" if told[:4] == "sep=" and len(told) <= 5 else ""
        if not separator:
            separator = _separator(first)
            stream.seek(0)
        try:
            yield from _records(csv.reader(stream, delimiter=separator, skipinitialspace=True), needs)
        except csv.Error as error:
            raise ValueError(str(error)) from error


def _records(lines: Iterator[list[str]], needs: Sequence[str]) -> Iterator[dict[str, str]]:
    header = [column_name(name) for name in next((line for line in lines if any(map(str.strip, line))), [])]
    for name in needs:
        if name not in header:
            raise ValueError(f"no column {name!r} among {', '.join(filter(None, header)) or 'no columns'}")
    twice = next((name for place, name in enumerate(header) if name and name in header[:place]), None)
    if twice is not None:
        raise ValueError(f"two columns are called {twice!r}; rename one")
    width = len(header)
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line]
        if any(islice(cells, width, None)):
            raise ValueError(
                f"row {number} has {len(cells)} cells and the header {width}; put cells that hold the separator into quotes"
            )
        if any(cells):
            cells += [""] * (width - len(cells))
            yield {name: cell for name, cell in zip(header, cells, strict=False) if name}


def column_name(text: str) -> str:
    """The name of a column, however it is spelt: without blanks around it, in lower case and composed (NFC)."""
    return unicodedata.normalize("NFC", text.replace("\ufeff", "").strip()).lower()


def _encoding(head: bytes) -> str:
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    # Without a mark: of text that is mostly Latin, every other byte is zero.
    even, odd = head[::2].count(0), head[1::2].count(0)
    if 4 * max(even, odd) > len(head):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def _separator(header: str) -> str:
    """What separates the cells of a header: the separator that it has most of outside of quotes."""
    plain = "".join(header.split('"')[::2])
    return max(_SEPARATORS, key=plain.count)
