"""``fasgen trace``: where a sample comes from and what became of it; all that came from a person."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fasgen.commands import options
from fasgen.commands.report import find_originals
from fasgen.commands.text import plain, table

if TYPE_CHECKING:
    from fasgen.audit.lineage import Step, Trace
    from fasgen.audit.originals import Originals

SHOWN = ("status", "reason", "detail", "seed", "plan_hash", "weights", "payload_digest")
"""Columns of a row that are printed, in this order, where they are not empty."""


@click.command(short_help="Follow a sample up to its source and down to its bytes; or all that came from a person.")
@click.argument("sample", required=False)
@click.option("--subject", metavar="SUBJECT", help="All that came from this person instead, as content or as style.")
@options.config_options
@click.option("--format", "style", type=click.Choice(["text", "jsonl"]), default="text", show_default=True)
def trace(sample: str | None, subject: str | None, config_path: Path | None, store: Path | None, style: str) -> None:
    """Walk from SAMPLE up to its source file and to what it was made from, and down to every product and its bytes in a file.

    SAMPLE is an id, a beginning of one that is unique, or an id with the number of a variant: 0123456789abcdef-2.
    Every generation in the store is searched; those that are not the newest are marked.
    """
    if (sample is None) == (subject is None):
        raise click.UsageError("give a sample, or --subject")
    from fasgen.audit.lineage import trace_sample, trace_subject

    found = options.find_store(config_path, store)
    answer = trace_sample(found, sample) if sample is not None else trace_subject(found, str(subject))
    originals = find_originals(found, config_path)
    if style == "jsonl":
        lines = _jsonl(answer, originals)
    elif sample is not None:
        lines = _text(answer, originals)
    else:
        lines = _listing(answer, originals)
    for line in lines:
        click.echo(line)


def _source(row: dict[str, Any], originals: Originals | None) -> dict[str, Any]:
    """What is known of the source file of a sample; its SHA-256 is that of the file as it lies there now."""
    file = originals.file(row["dataset"], row["path"]) if originals else None
    digest = originals.sha256(row["dataset"], row["path"]) if originals else None
    return {**row, "file": str(file) if file else None, "sha256_now": digest}


def _jsonl(answer: Trace, originals: Originals | None) -> Iterator[str]:
    for row in answer.sources.values():
        yield json.dumps({"role": "source", **_source(row, originals)}, ensure_ascii=True)
    for step in answer.steps:
        pieces = [{"name": one.name, "file": one.file, "offset": one.offset, "length": one.length} for one in step.pieces]
        document = {"role": step.role, "key": step.key, "generation": step.generation, "current": step.current, "row": step.row}
        yield json.dumps(document | {"pieces": pieces, "damage": step.damage}, ensure_ascii=True, default=str)


def _text(answer: Trace, originals: Originals | None) -> Iterator[str]:
    for row in answer.sources.values():
        yield from _source_lines(_source(row, originals))
    last = None
    for step in answer.steps:
        if (step.role, step.key) != last:
            yield f"{step.role}  {step.key}  {_who(step)}"
        last = step.role, step.key
        yield from _step_lines(step)


def _source_lines(row: dict[str, Any]) -> Iterator[str]:
    frame = f", frame {row['frame_k']} of {row['frame_n']}" if row["frame_k"] is not None else ""
    yield f"source  {row['sample_id']}  {plain(row['dataset'])}: {plain(row['path'])}{frame}  {row['size']} bytes"
    if row["file"]:
        yield f"  file           {plain(row['file'])}"
        yield f"  sha256 now     {row['sha256_now'] or 'cannot be read'}"


def _who(step: Step) -> str:
    row = step.row
    parts = [row["label"], row["attack_type"], f"subject {row['subject']}" if row["subject"] else None]
    parts += [f"style of {row['style_subject']}" if row["style_subject"] else None, row["licence"]]
    return ", ".join(plain(part) for part in parts if part)


def _step_lines(step: Step) -> Iterator[str]:
    row = step.row
    yield f"  {step.generation}  unit {row['unit']}, row {row['row']}" + (
        "" if step.current else "  (not the newest generation)"
    )
    for name in SHOWN:
        if row[name] not in (None, ""):
            yield f"    {name:<15}{plain(row[name])}"
    if row["parent_ids"]:
        yield f"    {'parent_ids':<15}{plain(', '.join(row['parent_ids']))}"
    for piece in step.pieces:
        yield f"    {plain(piece.file)}  bytes {piece.offset} to {piece.offset + piece.length - 1}  {plain(piece.name)}"
    if step.damage:
        yield f"    damaged        {plain(step.damage)}"


def _listing(answer: Trace, originals: Originals | None) -> Iterator[str]:
    files = {(row["dataset"], row["path"]) for row in answer.sources.values()}
    yield f"{len(files)} source files, {len({step.key for step in answer.steps})} samples, {len(answer.steps)} rows"
    rows: list[tuple[object, ...]] = []
    for step in answer.steps:
        places: list[tuple[object, ...]] = [(piece.file, piece.offset, piece.length) for piece in step.pieces]
        for where in places or [("", "", "")]:
            rows.append((step.role, step.generation, step.key, step.row["reason"] or step.row["status"], *where))
    yield table(("role", "generation", "sample", "status", "file", "offset", "bytes"), rows)
    for row in answer.sources.values():
        yield from _source_lines(_source(row, originals))
