"""The listings of sources: which rows a run planned for, under ``sources/<name>/``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.errors import StoreError
from fasgen.manifests import atomic
from fasgen.manifests.parquet import encode_table, read_table
from fasgen.manifests.schema import checked, field, text
from fasgen.records import Column, Scalar

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS: tuple[Column, ...] = (
    Column("sample_id", "string", "16 hex digits over data set, path and frame number"),
    Column("dataset", "string", "name of the source"),
    Column("path", "string", "path inside the source, undecodable bytes escaped"),
    Column("size", "int64", "size of the file when it was listed", "bytes"),
    Column("kind", "string", "image or video"),
    Column("frame_k", "int32", "number of the requested frame; null for a still"),
    Column("frame_n", "int32", "frames requested of the video; null for a still"),
    Column("subject", "string", "subject key, prefixed by the data set; null where unknown"),
    Column("label", "string", "live, spoof or unknown"),
    Column("attack_type", "string", "presentation attack instrument; null for live"),
    Column("device", "string", "capture device; null where unknown"),
    Column("domain", "string", "data set | capture device | attack type"),
    Column("split", "string", "train, dev, test or null"),
    Column("licence", "string", "licence tag of the source"),
    Column("attack_family", "string", "family of attacks over all data sets, such as print, replay, mask_rigid; null for live"),
    Column("attack_raw", "string", "the attack as the data set spells or numbers it; null for live"),
    Column("session", "string", "recording session; null where unknown"),
    Column("lighting", "string", "lighting; null where unknown"),
    Column("subject_is_pseudo", "bool", "whether the subject stands for a clip or picture: the data set does not tell people"),
    Column("adapter", "string", "what read the data set: the adapter's name, whatever the source is called"),
    Column("container", "string", "how the pixels are held inside the file; null for a file of its own"),
    Column("marks", "string", "path of shipped boxes or eye positions; null without"),
    Column("marks_format", "string", "columns of that file"),
)
_KINDS = {column.name: column.kind for column in COLUMNS}
_PART = 1_000_000
_CHUNK = 10_000
_DIGEST = "digest"
_LISTING = "files.sha256"
_LEFT_OUT = "left-out.tsv"
_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


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
    store: Path, name: str, rows: Iterable[Mapping[str, Scalar]], left_out: Mapping[str, str] | None = None
) -> str:
    """Write a source's listing, a million rows a file, replacing the one before as a whole.

    A listing that lies there with the same rows is left untouched.

    Args:
        store: the store.
        name: name of the source.
        rows: values by the names of ``COLUMNS``; what is missing is null.
        left_out: files of the source that nobody knows, and why: a line each in ``left-out.tsv``.

    Returns:
        SHA-256 over the rows themselves, independent of how the files are encoded.

    Raises:
        StoreError: if a row has a column that is none of ``COLUMNS`` or of another kind, or the store cannot be written.
    """
    import pyarrow as pa

    folder = folder_of(store, name)
    total, tables = hashlib.sha256(), []
    for first, table in _tables(name, rows, total):
        if first % _PART == 0:
            tables.append([table])
        else:
            tables[-1].append(table)
    digest = total.hexdigest()
    unknown = "".join(f"{text(path)}\t{text(why)}\n" for path, why in sorted((left_out or {}).items()))
    if _is_there(folder, digest, unknown):
        return digest
    try:
        atomic.clean(folder.parent, name)
        tmp = atomic.tmp_folder(folder.parent, name)
        try:
            for part, some in enumerate(tables):
                (tmp / f"{part:05d}.parquet").write_bytes(encode_table(pa.concat_tables(some).combine_chunks()))
            (tmp / _DIGEST).write_text(digest + "\n", "ascii")
            if unknown:
                (tmp / _LEFT_OUT).write_text(unknown, "utf-8")
            lines = "".join(f"{atomic.file_digest(path)}  {path.name}\n" for path in sorted(tmp.iterdir()))
            (tmp / _LISTING).write_text(lines, "ascii")
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


def _is_there(folder: Path, digest: str, unknown: str) -> bool:
    stored, listed = folder / _DIGEST, folder / _LEFT_OUT
    if not stored.is_file() or stored.read_text("ascii", "replace").strip() != digest:
        return False
    return (listed.read_text("utf-8", "replace") if listed.is_file() else "") == unknown


def _tables(name: str, rows: Iterable[Mapping[str, Scalar]], total: Any) -> Iterator[tuple[int, pa.Table]]:
    """Tables of at most ``_CHUNK`` rows, none across the border of a part, with the number of their first row; one at least.

    All of them go through ``total``, the digest.
    """
    import pyarrow as pa

    schema = pa.schema([field(column) for column in COLUMNS])
    waiting, first = iter(rows), 0
    while True:
        some = list(islice(waiting, min(_CHUNK, _PART - first % _PART)))
        if not some and first:
            return
        plain = [_checked(name, first + index, row) for index, row in enumerate(some)]
        for row in plain:
            total.update(_encode(list(row.values())).encode("ascii") + b"\n")
        yield first, pa.Table.from_pylist(plain, schema=schema)
        first += len(some)
        if not some:
            return


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
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".") if folder.is_dir() else []


def damaged_files(store: Path, name: str) -> list[Path]:
    """Files of a listing that are missing, too many, or do not have the bytes that were written."""
    folder = folder_of(store, name)
    listing = folder / _LISTING
    try:
        pairs = [line.partition("  ") for line in listing.read_text("ascii").splitlines()]
    except (OSError, UnicodeDecodeError):
        return [listing]
    expected = {folder / file: digest for digest, _, file in pairs}
    found = {path: atomic.file_digest(path) for path in folder.iterdir() if path.is_file() and path != listing}
    return sorted(path for path in expected.keys() | found.keys() if expected.get(path) != found.get(path))


def _checked(name: str, index: int, row: Mapping[str, Scalar]) -> dict[str, Scalar]:
    if not row.keys() <= _KINDS.keys():
        unknown = sorted(set(row) - _KINDS.keys())
        raise StoreError(f"source {name!r}, row {index}: unknown columns {', '.join(unknown)}")
    out: dict[str, Scalar] = {}
    for column in COLUMNS:
        value = row.get(column.name)
        # What is of the plain type already is most of what there is.
        if value is None or (type(value) is str and column.kind == "string" and value.isascii()):
            out[column.name] = value
        else:
            out[column.name] = checked(column, value, f"source {name!r}, row {index}")
    return out
