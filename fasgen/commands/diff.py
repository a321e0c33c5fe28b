"""``fasgen diff``: what differs between two stores or two generations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options
from fasgen.commands.text import plain, table

if TYPE_CHECKING:
    from fasgen.audit.compare import StageDiff
    from fasgen.manifests.plan_file import Generation

FEW = 5
"""Samples that are named of each kind of difference."""


@click.command(short_help="Compare two stores, or two generations of a stage.")
@click.argument("first")
@click.argument("second")
@options.config_options
@click.option("--format", "style", type=click.Choice(["text", "jsonl"]), default="text", show_default=True)
def diff(first: str, second: str, config_path: Path | None, store: Path | None, style: str) -> int:
    """Compare FIRST with SECOND: rows added and lost, other fates, other bytes, other scores, other settings.

    Each is the folder of a store (then the newest generation of every stage is taken), or of one generation, or the name of a
    generation in the store, such as defake-1a2b3c4d.

    Exit codes: 0 rows, bytes and scores are the same, 1 they differ, 2 refused.
    """
    from fasgen.audit.compare import compare

    found = compare(*(_side(name, config_path, store) for name in (first, second)))
    for line in _jsonl(found) if style == "jsonl" else _text(found):
        click.echo(line)
    return 0 if all(one.same for one in found) else 1


def _side(name: str, config_path: Path | None, store: Path | None) -> list[Generation]:
    from fasgen.audit.compare import side

    path = Path(name)
    if path.is_dir():
        return side(path.absolute())
    if "/" not in name:
        inside = options.find_store(config_path, store) / name
        return side(inside)
    return side(path)


def _text(found: list[StageDiff]) -> Iterator[str]:
    head = ("stage", "first", "second", "rows", "added", "lost", "fate", "bytes", "scores", "labels")
    rows = []
    for one in found:
        counts = [len(each) for each in (one.added, one.lost, one.status, one.bytes, one.scores, one.labels)]
        rows.append((one.stage, one.first or "-", one.second or "-", " / ".join(map(str, one.rows)), *counts))
    yield table(head, rows)
    for one in found:
        for name, (before, after) in one.settings.items():
            yield f"{one.stage}: {name}: {plain(json.dumps(before))} -> {plain(json.dumps(after))}"
        for score in one.scores:
            yield (
                f"{one.stage}: {score.name}: {score.changed} changed, mean difference {score.mean:+.4g}, "
                f"largest {score.largest:.4g} at {plain(score.sample)}"
            )
        for label in one.labels:
            moved = f"{plain(label.first)} -> {plain(label.second)}"
            yield f"{one.stage}: {label.name}: {label.changed} changed, {moved} at {plain(label.sample)}"
        for key, (was, became) in list(one.status.items())[:FEW]:
            yield f"{one.stage}: {plain(key)}: {plain(was)} -> {plain(became)}"
        if len(one.status) > FEW:
            yield f"{one.stage}: {len(one.status) - FEW} more fates differ; see them with --format jsonl"
        for what, keys in (("added", one.added), ("lost", one.lost), ("other bytes", one.bytes)):
            if keys:
                more = f" and {len(keys) - FEW} more" if len(keys) > FEW else ""
                yield f"{one.stage}: {what}: {plain(', '.join(keys[:FEW]))}{more}"
    if all(one.same for one in found):
        yield "no difference"


def _jsonl(found: list[StageDiff]) -> Iterator[str]:
    for one in found:
        for name, (before, after) in one.settings.items():
            yield json.dumps({"stage": one.stage, "kind": "setting", "name": name, "first": before, "second": after})
        for score in one.scores:
            figures = {"changed": score.changed, "mean": score.mean, "largest": score.largest, "sample": score.sample}
            yield json.dumps({"stage": one.stage, "kind": "score", "name": score.name, **figures})
        for label in one.labels:
            values = {"changed": label.changed, "first": label.first, "second": label.second, "sample": label.sample}
            yield json.dumps({"stage": one.stage, "kind": "label", "name": label.name, **values})
        for key, (was, became) in one.status.items():
            yield json.dumps({"stage": one.stage, "kind": "fate", "sample": key, "first": was, "second": became})
        for kind, keys in (("added", one.added), ("lost", one.lost), ("bytes", one.bytes)):
            yield from (json.dumps({"stage": one.stage, "kind": kind, "sample": key}) for key in keys)
