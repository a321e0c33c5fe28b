"""The listings of sources: which rows a run planned for, under ``sources/<name>/``."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests import atomic
from fasgen.manifests.parquet import encode_table, read_table
from fasgen.manifests.schema import text
from fasgen.manifests.sources_columns import Part
from fasgen.manifests.sources_rows import COLUMNS as COLUMNS
from fasgen.manifests.sources_rows import Checked, FileRows, texts
from fasgen.records import Scalar

if TYPE_CHECKING:
    import pyarrow as pa

_PART = 1_000_000
_OURS = re.compile(r"\d{5}\.parquet|digest|files\.sha256|left-out\.tsv|reading\.json")
_DIGEST = "digest"
LISTING = "files.sha256"
_LEFT_OUT = "left-out.tsv"
_READING = "reading.json"


def folder_of(store: Path, name: str) -> Path:
    """Where a source's listing lies.

    Raises:
        StoreError: if the name cannot be a folder's name.
    """
    if not name or name.startswith(".") or "/" in name or "\0" in name:
        raise StoreError(f"source name {name!r} cannot be a folder's name: use letters, digits, dots, dashes, underscores")
    return store / "sources" / name


def blank(row: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """A row whose person was taken out of the store: its place, its id and its data set."""
    return {"sample_id": row["sample_id"], "dataset": row["dataset"]}


def write_sources(
    store: Path,
    name: str,
    rows: Iterable[Mapping[str, Scalar] | FileRows],
    left_out: Mapping[str, str] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> str:
    """Write a source's listing, a million rows a file, replacing the one before as a whole.

    A listing that lies there with the same rows is left untouched.

    Args:
        store: the store.
        name: name of the source.
        rows: values by the names of ``COLUMNS``, what is missing is null; or rows by file. They are gone through twice.
        left_out: files of the source that nobody knows, and why: a line each in ``left-out.tsv``.
        reading: what was read of the source, in figures, and what is odd in it: plain JSON, in ``reading.json``.

    Returns:
        SHA-256 over the rows themselves, independent of how the files are encoded.

    Raises:
        StoreError: if a row has a column that is none of ``COLUMNS`` or of another kind, or the store cannot be written.
    """
    folder = folder_of(store, name)
    found = Checked(name, list(rows) if isinstance(rows, Iterator) else rows)
    total = hashlib.sha256()
    for some in texts(found):
        total.update(some)
    digest = total.hexdigest()
    beside = {
        _LEFT_OUT: "".join(f"{text(path)}\t{text(why)}\n" for path, why in sorted((left_out or {}).items())),
        _READING: json.dumps(reading, indent=1, ensure_ascii=True) + "\n" if reading else "",
    }
    if _is_there(folder, digest, beside):
        return digest
    if strange := _foreign(folder):
        raise StoreError(
            f"{strange}: lies where the store has its listing of source {name}, which is replaced as a whole: set store to "
            "another folder, or give the source another name"
        )
    try:
        atomic.clean(folder.parent, name)
        tmp = atomic.tmp_folder(folder.parent, name)
        try:
            for number, part in enumerate(_parts(found)):
                (tmp / f"{number:05d}.parquet").write_bytes(encode_table(part.table()))
            (tmp / _DIGEST).write_text(digest + "\n", "ascii")
            for file, written in beside.items():
                if written:
                    (tmp / file).write_text(written, "utf-8")
            lines = "".join(f"{atomic.file_digest(path)}  {path.name}\n" for path in sorted(tmp.iterdir()))
            (tmp / LISTING).write_text(lines, "ascii")
            atomic.fsync_tree(tmp)
            trash = atomic.tmp_folder(folder.parent, name)
            atomic.replace(tmp, folder, trash)
            atomic.remove(trash)
            atomic.fsync_file(folder.parent)
        finally:
            atomic.remove(tmp)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}): choose another store or free space") from error
    return digest


def _foreign(folder: Path) -> Path | None:
    """What is no part of a listing, in its folder; with ``store: .`` a folder of pictures may be called like it."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return next((path for path in found if not _OURS.fullmatch(path.name)), None)


def _parts(rows: Iterable[FileRows]) -> Iterator[Part]:
    """The rows in parts of ``_PART``; one part at least."""
    part = Part()
    for file in rows:
        rest = file
        while part.rows + len(rest.sample_ids) > _PART:
            room = _PART - part.rows
            part.add(rest.part(0, room))
            yield part
            part, rest = Part(), rest.part(room, len(rest.sample_ids))
        part.add(rest)
    yield part


def _is_there(folder: Path, digest: str, beside: Mapping[str, str]) -> bool:
    same = _held(folder / _DIGEST).strip() == digest and all(_held(folder / file) == text for file, text in beside.items())
    return same and not _damaged(folder)


def _held(file: Path) -> str:
    return file.read_text("utf-8", "replace") if file.is_file() else ""


def read_reading(store: Path, name: str) -> dict[str, Any] | None:
    """What was read of a source, as its listing has it; None where it was written before there was such a record.

    Raises:
        StoreError: it is damaged.
    """
    path = folder_of(store, name) / _READING
    try:
        document = parse_json(path.read_bytes())
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: is damaged ({error}): remove {path.parent}, `fasgen run` writes it again") from None
    return document


def read_left_out(store: Path, name: str) -> dict[str, str]:
    """Files of a source that nobody knows, escaped, and why, as its listing has them."""
    lines = _held(folder_of(store, name) / _LEFT_OUT).split("\n")
    return {path: why for path, _, why in (line.partition("\t") for line in lines) if path}


def read_sources(store: Path, name: str) -> pa.Table:
    """A source's listing, all rows in order.

    Raises:
        StoreError: if there is none, or it is damaged.
    """
    import pyarrow as pa

    folder = folder_of(store, name)
    parts = sorted(folder.glob("*.parquet"))
    if not parts:
        raise StoreError(f"{folder}: the store has no listing of source {name!r}: `fasgen run` writes it")
    return pa.concat_tables([read_table(part) for part in parts])


def source_names(store: Path) -> list[str]:
    """Names of the sources whose listings a store holds, sorted."""
    folder = store / "sources"
    found = (path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".") if folder.is_dir() else ()
    # With ``store: .`` there may be folders of pictures beside listings.
    return sorted(
        path.name for path in found if not (files := [*path.iterdir()]) or any(_OURS.fullmatch(each.name) for each in files)
    )


def damaged_files(store: Path, name: str) -> list[Path]:
    """Files of a listing that are missing, too many, or do not have the bytes that were written."""
    return _damaged(folder_of(store, name))


def _damaged(folder: Path) -> list[Path]:
    """The same, of the folder of a listing."""
    listing = folder / LISTING
    try:
        pairs = [line.partition("  ") for line in listing.read_text("ascii").splitlines()]
    except (OSError, UnicodeDecodeError):
        return [listing]
    expected = {folder / file: digest for digest, _, file in pairs}
    found = {path: atomic.file_digest(path) for path in folder.iterdir() if path.is_file() and path != listing}
    return sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))
