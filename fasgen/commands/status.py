"""``fasgen status``: what lies in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from fasgen.commands import options
from fasgen.commands.plan import warned
from fasgen.commands.reading import block
from fasgen.commands.text import plain, size, table, tally


@click.command(short_help="Show what lies in the store.")
@options.config_options
@click.option("--all", "everything", is_flag=True, help="Show older generations too, the newest of each stage first.")
def status(config_path: Path | None, store: Path | None, everything: bool) -> None:
    """Show what was read of the sources and what is odd in them; every stage's current generation, since when it is current and
    in what it differs from the one before; and how the last run ended.
    """
    from fasgen.audit.readings import readings
    from fasgen.manifests.added_file import read_added
    from fasgen.manifests.plan_file import read_current
    from fasgen.manifests.yields import read_yields, warnings

    found = options.find_store(config_path, store)
    folders = in_order(found, everything=everything)
    for line in [*warned(warnings(read_yields(in_order(found)))), f"store    {found}", *block(readings(found)), ""]:
        click.echo(line)
    dates = {one.folder: one.since for listed in read_current(found).values() for one in listed}
    added: Counter[int] = Counter()
    for one in read_added(found):
        added[one.unit_rows] += one.units
    rows = [(*_line(folder, added), dates.get(folder.name, "")) for folder in folders]
    header = ("generation", "units", "of", "planned", "ok", "filtered", "failed", "bytes", "rejects", "current since")
    click.echo(table(header, rows) if rows else "no stage has begun here")
    for line in _differences(found):
        click.echo(line)
    for line in stale(found, in_order(found)):
        click.echo(line)
    older = len(in_order(found, everything=True)) - len(folders)
    if older:
        click.echo(
            f"{older} older generation{'s' * (older > 1)}: fasgen status --all shows them, fasgen gc removes what nothing needs"
        )
    last = last_run(found)
    if last:
        click.echo(last)


def in_order(store: Path, *, everything: bool = False) -> list[Path]:
    """Folders of the current generations, or of all: stages in order, each one's newest first; unknown stages last."""
    from fasgen.manifests.plan_file import generations, latest, read_current
    from fasgen.pipeline.wiring import Lanes
    from fasgen.stages import specs

    order = {name: rank for rank, name in enumerate(Lanes(specs()).makes)}
    rank = {one.folder: rank for listed in read_current(store).values() for rank, one in enumerate(listed)}
    found = [
        (order.get(one.stage, len(order)), one.stage, rank.get(one.folder.name, len(rank)), one.folder)
        for one in (generations(store) if everything else latest(store))
    ]
    return [folder for *_, folder in sorted(found)]


def _differences(store: Path) -> Iterator[str]:
    """In what each current generation differs from the one before it, a line each."""
    from fasgen.audit.compare import settings_changed
    from fasgen.manifests.plan_file import read_current, read_plan

    current = read_current(store)
    for folder in in_order(store):
        before = next((one.folder for one in current.get(folder.name.rpartition("-")[0], [])[1:]), None)
        if before is None or not (store / before / "plan.json").exists():
            continue
        found = settings_changed(read_plan(store / before), read_plan(folder))
        changes = ", ".join(f"{name} {plain(now)} (was {plain(was)})" for name, (was, now) in found.items())
        yield f"{folder.name}: {changes or 'the same settings, other stages upstream'}; before it {before}"


def stale(store: Path, folders: Sequence[Path]) -> Iterator[str]:
    """The current generations that were made of others than the current ones, or with older settings than their stage's on
    another lane, in a line.
    """
    from fasgen.manifests.plan_file import read_current, read_plan

    plans = {folder.name.rpartition("-")[0]: read_plan(folder) for folder in folders}
    current = {folder.name.rpartition("-")[0]: folder.name for folder in folders}
    since = {name: listed[0].since for name, listed in read_current(store).items() if listed}
    older = _older_settings(plans, since)
    others: dict[str, None] = {}
    made_of_others: list[str] = []
    follow: list[str] = []
    for name, plan in plans.items():
        reads = {stage: f"{stage}-{str(digest)[:8]}" for stage, digest in dict(plan.get("upstream") or {}).items()}
        gone = [folder for stage, folder in reads.items() if current.get(stage, folder) != folder]
        others.update(dict.fromkeys(gone))
        if gone:
            made_of_others.append(name)
        elif name not in older and not reads.keys().isdisjoint((*made_of_others, *older, *follow)):
            follow.append(name)
    behind = [name for name in plans if name in made_of_others or name in older or name in follow]
    if not behind:
        return
    why = [f"{', '.join(made_of_others)}: made of {', '.join(others)}, which is not current any more"] if others else []
    why += [f"{name}: made with other settings than {newest}, which is newer" for name, newest in older.items()]
    why += [f"{', '.join(follow)}: made of these"] if follow else []
    yield f"stale    {'; '.join(why)}; fasgen run stage={','.join(behind)}, with the settings of the last run, makes them again"


def _older_settings(plans: Mapping[str, Mapping[str, Any]], since: Mapping[str, str]) -> dict[str, str]:
    """Of what one stage makes on several lanes, what has other settings than the newest of it; with the newest's name."""
    from fasgen.audit.compare import settings_changed
    from fasgen.pipeline.wiring import Lanes
    from fasgen.stages import specs

    of_stage: dict[str, list[str]] = {}
    for name, (stage, _) in Lanes(specs()).makes.items():
        if name in plans:
            of_stage.setdefault(stage, []).append(name)
    found: dict[str, str] = {}
    for names in of_stage.values():
        newest = max(names, key=lambda name: since.get(name, ""))
        for name in names:
            # How many samples a call has may differ with how many there are on a lane.
            changed = settings_changed(plans[name], plans[newest]).keys() - {"batch", "config.batch", "unit_rows"}
            if changed:
                found[name] = newest
    return found


def _line(folder: Path, added: Mapping[int, int]) -> tuple[object, ...]:
    from fasgen.manifests.plan_file import read_plan
    from fasgen.manifests.unit import committed_units, unit_summary

    plan: Any = read_plan(folder)
    summaries = [unit_summary(folder, unit) for unit in committed_units(folder)]
    reasons: Counter[str] = Counter()
    for summary in summaries:
        reasons.update(summary.reasons)
    counts = [sum(getattr(summary, name) for summary in summaries) for name in ("planned", "ok", "filtered", "failed", "bytes")]
    more = added.get(plan.get("unit_rows"), 0)
    of = f"{plan.get('units', '?')}+{more}" if more else plan.get("units", "?")
    return (folder.name, len(summaries), of, *counts[:4], size(counts[4]), tally(reasons))


def last_run(store: Path) -> str:
    """How the last run ended, in one line; empty if there was none."""
    from fasgen.json_reader import parse_json

    runs = (
        sorted(entry for entry in (store / "runs").iterdir() if (entry / "ledger.jsonl").is_file())
        if (store / "runs").is_dir()
        else []
    )
    if not runs:
        return ""
    last = runs[-1]
    try:
        summary = parse_json((last / "summary.json").read_text("utf-8"))
    except (OSError, ValueError):
        return f"last run  {last.name}: still going, or killed ({last / 'ledger.jsonl'})"
    outcome = str(summary.get("outcome", "?")).replace("_", " ")
    return f"last run  {last.name}: {outcome}, {summary.get('units', '?')} units, {summary.get('remaining', '?')} left"
