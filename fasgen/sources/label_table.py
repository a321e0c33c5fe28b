"""Tables that say what files are: read, and matched with the files that there are."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

from fasgen.csv_reader import column_name, read_csv
from fasgen.errors import SourceError
from fasgen.remote.path import RemotePath
from fasgen.sources.config import DETAILS, FIELDS
from fasgen.sources.odd import Oddities
from fasgen.sources.paths import escape

LabelTable = dict[str, dict[str, str]]
"""What a table says of a file, by relative path: text by the names in ``FIELDS`` and ``DETAILS``."""

_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[\\/]|[\\/]{2}")
"""A Windows drive or share, or an address such as ``s3://``."""


def read_table(file: Path | RemotePath, root: Path | RemotePath, odd: Oddities | None = None) -> LabelTable:
    """Read a CSV or parquet file of labels.

    Args:
        file: the table; a column ``path`` and any of the names in ``FIELDS`` and ``DETAILS``. Other columns are ignored.
        root: the source's folder; absolute paths in the table, or addresses, are taken relative to it, whatever links lead to
            it.
        odd: takes the other columns, where the table lacks label or subject, which they may be meant for.

    Returns:
        the non-empty values by path, in the table's order.

    Raises:
        SourceError: the file is missing or no table, has no column ``path``, names a path twice or one outside of ``root``.
    """
    table: LabelTable = {}
    below = _below_address(root) if isinstance(root, RemotePath) else _below(root)
    try:
        is_parquet = file.suffix.lower() in (".parquet", ".pq")
        for number, record in enumerate(_parquet(file) if is_parquet else read_csv(file, ("path",)), start=1):
            if odd and number == 1:
                _see_unread(_parquet_columns(file) if is_parquet else record, odd)
            given = record.get("path") or ""
            path = given if _is_plain(given) else below(given)
            if path is None:
                raise SourceError(
                    f"table {file}: row {number} names {given!r}, which is not a path below {root}; write paths relative to "
                    "that folder, with extension"
                )
            if path in table:
                raise _twice(file, path, number)
            table[path] = {field: _legible(text) for field in (*FIELDS, *DETAILS) if (text := record.get(field) or "")}
    except (OSError, ValueError) as error:
        known = ", ".join((*FIELDS, *DETAILS))
        raise SourceError(
            f"table {file} cannot be read: {error}; give a CSV or parquet file with a column 'path' and any of {known}"
        ) from error
    return table


def respell(table: LabelTable, files: Collection[str], file: Path | RemotePath | None, odd: Oddities) -> None:
    """Let rows of the table find their files where only case, slashes or the form of letters (NFC, NFD) differ.

    A file that is spelt as in the table is taken first, and one that several rows or files could mean by none.

    Args:
        table: the table; rows that have found their files are listed under these from then on.
        files: relative paths of all files.
        file: the table's own path, for the message.
        odd: takes the rows.

    Raises:
        SourceError: two rows mean one file.
    """
    lost = [path for path in table if path not in files]
    if not lost:
        return
    meant: dict[str, str | None] = {}
    for path in files:
        if path not in table:
            key = loosely(path)
            meant[key] = None if key in meant else path
    for path in lost:
        actual = meant.get(loosely(path))
        if actual is None:
            continue
        if actual in table:
            raise _twice(file, actual)
        table[actual] = table.pop(path)
        odd.see("respelt", escape(path), f"taken for {escape(actual)}")


def loosely(path: str) -> str:
    """What paths have in common that differ in case, slashes or the form of letters alone."""
    return unicodedata.normalize("NFC", str(PurePosixPath(_legible(path).replace("\\", "/")))).casefold()


def _legible(text: str) -> str:
    """Text whose bytes are no UTF-8, by Windows' Western code page: what spreadsheets there save as CSV is in it."""
    if text.isascii() or text.isprintable():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("cp1252")
    except UnicodeDecodeError:
        return text


def _twice(file: Path | RemotePath | None, path: str, number: int = 0) -> SourceError:
    where = f"row {number}" if number else "a row"
    return SourceError(f"table {file}: {where} names {escape(path)!r} a second time; keep one row a file")


def _is_plain(path: str) -> bool:
    """Whether a path is relative and has no part that is to be resolved; most are, and need no more looking at."""
    return bool(path) and path[0] not in "/." and path[-1] != "/" and not any(part in path for part in ("//", "/.", "\\", ":"))


def _below_address(root: RemotePath) -> Callable[[str], str | None]:
    """From a path or an address as a table has it to a path relative to ``root``; None where it is none below it."""

    def find(path: str) -> str | None:
        pure = path.removeprefix(f"{root}/")
        parts = PurePosixPath(pure.replace("\\", "/")).parts
        return None if not parts or _ELSEWHERE.match(pure) or pure.startswith("/") or ".." in parts else "/".join(parts)

    return find


def _below(root: Path) -> Callable[[str], str | None]:
    """From a path as a table has it to one relative to ``root``; None where it is no such path."""
    tops = list(dict.fromkeys((PurePosixPath(root.absolute()), PurePosixPath(root.resolve()))))

    @lru_cache(maxsize=1 << 12)
    def resolved(folder: str) -> PurePosixPath:
        return PurePosixPath(os.path.realpath(folder))

    def find(path: str) -> str | None:
        if _ELSEWHERE.match(path):
            return None
        pure = PurePosixPath(path)
        if pure.is_absolute():
            spellings = (pure, resolved(str(pure.parent)) / pure.name)
            pure = next((one.relative_to(top) for one in spellings for top in tops if one.is_relative_to(top)), pure)
        parts = PurePosixPath(str(pure).replace("\\", "/")).parts
        return None if not parts or pure.is_absolute() or ".." in parts else str(pure)

    return find


def _see_unread(columns: Collection[str], odd: Oddities) -> None:
    if not {"label", "subject"}.issubset(columns):
        for name in columns:
            if name not in ("path", "", *FIELDS, *DETAILS):
                odd.see("unread", name)


def _parquet_columns(file: Path | RemotePath) -> list[str]:
    import pyarrow.parquet

    with file.open("rb") as stream:
        return [column_name(name) for name in pyarrow.parquet.read_schema(stream).names]


def _parquet(file: Path | RemotePath) -> Iterable[dict[str, str]]:
    import pyarrow.parquet

    with file.open("rb") as stream:
        table = pyarrow.parquet.read_table(stream)
    names = [column_name(name) for name in table.column_names]
    if "path" not in names:
        raise ValueError(f"no column 'path' among {', '.join(table.column_names)}")
    wanted = {name: names.index(name) for name in ("path", *FIELDS, *DETAILS) if name in names}
    columns = [table.column(place).to_pylist() for place in wanted.values()]
    for values in zip(*columns, strict=True):
        yield {name: _text(value) for name, value in zip(wanted, values, strict=True)}


def _text(value: object) -> str:
    # Data frames turn integer columns with gaps into floats: subject 7.0 is subject 7.
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() else str(value)
    return os.fsdecode(value) if isinstance(value, bytes) else "" if value is None else str(value).strip()
