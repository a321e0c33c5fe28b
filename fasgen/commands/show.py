"""``fasgen show``: rows of the manifests that a filter keeps."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fasgen.commands import options
from fasgen.commands.text import table

if TYPE_CHECKING:
    import pyarrow as pa

BRIEF = ("stage", "sample_id", "status", "reason", "label", "path", "detail")
"""Columns of a table for people; the other formats have all."""


@click.command(short_help="Show rows of the manifests: fasgen show 'brisque > 55'.")
@click.argument("filter_text", metavar="[FILTER]", default="true")
@options.config_options
@click.option("--columns", metavar="A,B,...", help="Columns to show; in a table a few and those of FILTER, else all.")
@click.option("--limit", type=click.IntRange(min=0), help="Most rows; 50 in a table, otherwise all.")
@click.option("--format", "style", type=click.Choice(["table", "jsonl", "csv", "parquet"]), default="table", show_default=True)
@click.option("--out", type=options.PATH, metavar="FILE", help="Write there instead of to the screen.")
def show(
    filter_text: str,
    config_path: Path | None,
    store: Path | None,
    columns: str | None,
    limit: int | None,
    style: str,
    out: Path | None,
) -> None:
    """Show the rows of all stages' newest manifests that FILTER, an SQL condition, keeps.

    `stage` is a column like any other: fasgen show 'stage = "align" and reason = "no_face"'.
    """
    from fasgen.audit.query import show as query

    found = options.find_store(config_path, store)
    wanted = [name.strip() for name in columns.split(",") if name.strip()] if columns else None
    most = 50 if limit is None and style == "table" else limit
    # One more than is shown tells whether there are more.
    rows: pa.Table = query(found, filter_text, wanted, None if most is None else most + 1)
    more = most is not None and rows.num_rows > most
    rows = rows.slice(0, most) if most is not None else rows
    if style == "table" and wanted is None:
        asked = set(re.findall(r"\w+", filter_text))
        rows = rows.select([name for name in rows.column_names if name in asked or name in BRIEF])
    _write(render(rows, style), out, style)
    if more:
        click.echo(f"there are more rows than these {most}; see them with --limit", err=True)


def render(rows: pa.Table, style: str) -> bytes:
    """The rows in one of the formats."""
    match style:
        case "jsonl":
            return _jsonl(rows)
        case "csv":
            return _csv(rows)
        case "parquet":
            return _parquet(rows)
        case _:
            return _table(rows)


def _write(data: bytes, out: Path | None, style: str) -> None:
    if out is not None:
        out.write_bytes(data)
    elif style == "parquet" and sys.stdout.isatty():
        raise click.UsageError("parquet is not for the screen; name a file with --out")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)


def _records(rows: pa.Table) -> list[Mapping[str, Any]]:
    records: list[Mapping[str, Any]] = rows.to_pylist()
    return records


def _table(rows: pa.Table) -> bytes:
    records = _records(rows)
    if not records:
        return b"no rows\n"
    return (table(rows.column_names, [list(record.values()) for record in records]) + "\n").encode("utf-8", "replace")


def _jsonl(rows: pa.Table) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in _records(rows)).encode("utf-8", "replace")


def _csv(rows: pa.Table) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(rows.column_names)
    for record in _records(rows):
        writer.writerow([json.dumps(value) if isinstance(value, list) else value for value in record.values()])
    return stream.getvalue().encode("utf-8", "replace")


def _parquet(rows: pa.Table) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data
