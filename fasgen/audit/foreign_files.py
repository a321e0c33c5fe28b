"""Which file of a folder or table is of which photograph of a store."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fasgen.csv_reader import read_csv
from fasgen.errors import SourceError, StoreError
from fasgen.manifests.parquet import read_table
from fasgen.manifests.products import cutter, units_of
from fasgen.manifests.unit import manifest_path

_ROW = ("sample_id", "status", "variant", "dataset", "path", "frame")


@dataclass(frozen=True, slots=True)
class Matched:
    """Files by photograph.

    Attributes:
        files: by sample id, the file.
        without: photographs that have none, by id, with data set and path.
        strangers: files that are of no photograph.
    """

    files: Mapping[str, Path]
    without: Mapping[str, str]
    strangers: tuple[Path, ...]


def match(store: Path, given: Path, suffixes: Collection[str]) -> Matched:
    """The files of the photographs that have a crop.

    A folder's files are called by sample id, or as the sources call theirs, whatever the suffix: ``path`` or
    ``dataset/path`` of a still, and below it or after ``_`` the frame's number of a video. A table has the columns file
    (relative to its folder) and sample, or path and where need be dataset and frame.

    Args:
        store: the store.
        given: folder, or CSV.
        suffixes: of files that count, in lower case.

    Raises:
        SourceError: it is not there, two files are of one photograph, or none is of any.
        StoreError: the store has no crops.
    """
    rows = list(_photographs(store))
    if not given.exists():
        raise SourceError(f"{given}: is not there: give a folder of arrays or pictures, or a table")
    named = _of_folder(given, suffixes) if given.is_dir() else _of_table(given)
    files, without = dict[str, Path](), dict[str, str]()
    for row in rows:
        found = {named[key] for key in _keys(row) if key in named}
        if len(found) > 1:
            first, second = sorted(found)[:2]
            raise SourceError(f"{given}: {first} and {second} are both of {row['dataset']}/{row['path']}: take one out")
        if found:
            files[row["sample_id"]] = found.pop()
        else:
            without[row["sample_id"]] = f"{row['dataset']}/{row['path']}" + ("" if row["frame"] is None else f"#{row['frame']}")
    if not files:
        example = next(iter(sorted(map(str, named.values()))), "none")
        raise SourceError(
            f"{given}: none of its {len(named)} names (such as {example}) is of one of the {len(rows)} photographs that have a "
            f"crop (such as {next(_keys(rows[0]), '') if rows else 'none'}): name them by sample id or path, or give a table"
        )
    strangers = set(named.values()) - set(files.values())
    return Matched(files, without, tuple(sorted(strangers)))


def _photographs(store: Path) -> Iterator[dict[str, Any]]:
    units = units_of(cutter(store))
    if not units:
        raise StoreError(f"{store}: has no crops yet, to which a cue could be attached: fasgen run stage=align")
    for folder, unit in units:
        rows = read_table(manifest_path(folder, unit), _ROW).to_pylist()
        yield from (row for row in rows if row["status"] == "ok" and not row["variant"])


def _keys(row: Mapping[str, Any]) -> Iterator[str]:
    """What the file of a photograph may be called, without suffix."""
    yield row["sample_id"]
    frame, path = row["frame"], str(row["path"] or "")
    for name in (path, path.rpartition(".")[0] or path):
        for whole in (name, f"{row['dataset']}/{name}"):
            yield from (whole,) if frame is None else (f"{whole}/{frame}", f"{whole}_{frame}")


def _of_folder(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes or not path.is_file():
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        # A file of an id may lie in whatever folder.
        for key in {name, path.stem} if len(path.stem) == 16 else {name}:
            if found.setdefault(key, path) != path:
                raise SourceError(f"{folder}: {found[key]} and {path} have one name: take one out")
    return found


def _of_table(table: Path) -> dict[str, Path]:
    try:
        records = list(read_csv(table, ("file",)))
    except (OSError, ValueError) as error:
        raise SourceError(f"{table}: cannot be read as a table: {error}") from None
    found: dict[str, Path] = {}
    for number, one in enumerate(records, 2):
        path, frame = "/".join(filter(None, (one.get("dataset"), one.get("path")))), one.get("frame")
        key = one.get("sample") or (f"{path}_{frame}" if frame else path)
        if not key:
            raise SourceError(f"{table}, row {number}: has neither sample nor path")
        if key in found:
            raise SourceError(f"{table}, row {number}: {key} stands there twice")
        found[key] = table.parent / one["file"]
    return found
