"""``fasgen status``: what lies in the store."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click

from fasgen.commands import options
from fasgen.commands.text import size, table, tally


@click.command(short_help="Show what lies in the store.")
@options.config_options
def status(config_path: Path | None, store: Path | None) -> None:
    """Show every stage's generations, the newest first, and how the last run ended."""
    from fasgen.manifests.added_file import read_added

    found = options.find_store(config_path, store)
    click.echo(f"store  {found}")
    added: Counter[str] = Counter()
    for one in read_added(found):
        added.update(dict.fromkeys(one.plans, one.units))
    rows = [_line(folder, added[folder.name]) for folder in in_order(found)]
    header = ("generation", "units", "of", "planned", "ok", "filtered", "failed", "bytes", "rejects")
    click.echo(table(header, rows) if rows else "no stage has begun here")
    last = last_run(found)
    if last:
        click.echo(last)


def in_order(store: Path) -> list[Path]:
    """Folders of the generations: stages in order, each one's newest first; stages that are no more, last."""
    from fasgen.manifests.plan_file import generations
    from fasgen.stages import STAGES

    order = {name: rank for rank, name in enumerate(STAGES)}
    found = [(order.get(one.stage, len(order)), one.stage, one.folder) for one in generations(store)]
    found.sort(key=lambda one: (one[0], one[1], -(one[2] / "plan.json").stat().st_mtime_ns))
    return [folder for _, _, folder in found]


def _line(folder: Path, added: int) -> tuple[object, ...]:
    from fasgen.manifests.plan_file import read_plan
    from fasgen.manifests.shard import committed_units, unit_summary

    plan: Any = read_plan(folder)
    summaries = [unit_summary(folder, unit) for unit in committed_units(folder)]
    reasons: Counter[str] = Counter()
    for summary in summaries:
        reasons.update(summary.reasons)
    counts = [sum(getattr(summary, name) for summary in summaries) for name in ("planned", "ok", "filtered", "failed", "bytes")]
    of = f"{plan.get('units', '?')}+{added}" if added else plan.get("units", "?")
    return (folder.name, len(summaries), of, *counts[:4], size(counts[4]), tally(reasons))


def last_run(store: Path) -> str:
    """How the last run ended, in one line; empty if there was none."""
    runs = (
        sorted(entry for entry in (store / "runs").iterdir() if (entry / "ledger.jsonl").is_file())
        if (store / "runs").is_dir()
        else []
    )
    if not runs:
        return ""
    last = runs[-1]
    try:
        summary = json.loads((last / "summary.json").read_text("utf-8"))
    except (OSError, ValueError):
        return f"last run  {last.name}: still going, or killed ({last / 'ledger.jsonl'})"
    outcome = str(summary.get("outcome", "?")).replace("_", " ")
    return f"last run  {last.name}: {outcome}, {summary.get('units', '?')} units, {summary.get('remaining', '?')} left"
