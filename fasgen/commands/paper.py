"""``fasgen paper``: a published table on one's own data, from one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from fasgen.commands import options
from fasgen.commands.text import duration, table

if TYPE_CHECKING:
    from fasgen.chains.config import Chain
    from fasgen.chains.steps import Graph, Step

FAILED = 1
"""Exit code where something failed, and the table is of the rest."""


@click.command(short_help="Train, generate, detect and tabulate, fold by fold: a published table, from one file.")
@click.argument("config", type=options.PATH)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--data",
    "places",
    type=options.PATH,
    metavar="FILE",
    help="A file that says where data sets and weights of others lie: data.NAME and weights.NAME, for all tables at once.",
)
@click.option("--gpus", type=click.IntRange(min=0), metavar="N", help="GPUs; 0 for the CPU alone. All there are.")
@click.option("--cpus", type=click.IntRange(min=1), metavar="N", help="CPU workers where rows are made.")
@click.option(
    "--engine", type=click.Choice(["ray", "local"]), default="ray", show_default=True, help="Where workers live that make rows."
)
@click.option("--dry-run", is_flag=True, help="Print what would be done and what it costs, and do nothing.")
def paper(
    config: Path,
    settings: Sequence[str],
    places: Path | None,
    gpus: int | None,
    cpus: int | None,
    engine: Literal["ray", "local"],
    dry_run: bool,
) -> int:
    """Make the table of CONFIG: cut faces, lay the protocol, train what each fold needs on its own train side, make cues,
    synthetic samples and shards with those weights, train and score detectors, and set the figures beside the paper's.

    What folds, methods and tables have in common is made once. The same command goes on after anything that ended it; a changed
    setting makes anew what hangs on it. Of several GPUs, trainings and detectors take one each, or a share. A step that fails
    ends what hangs on it, and the rest goes on.

    Example: `fasgen paper examples/papers/lgsc-oulu.yaml data.oulu-npu=/data/OULU-NPU`. Tables lie in `out`: table.md, .csv
    and .json, and report/ with curves.

    Exit codes: 0 the whole table is there, 1 a step failed, 2 refused, 130 interrupted.
    """
    from fasgen.chains import making
    from fasgen.chains.config import load_chain
    from fasgen.chains.jobs import alone
    from fasgen.chains.making import Means
    from fasgen.chains.run import run
    from fasgen.chains.steps import is_ready, plan
    from fasgen.chains.table import write_table
    from fasgen.pipeline.resources import claim, machine

    chain = load_chain(config, settings, places)
    making.check_crops(chain)
    resources = claim(machine(), gpus)
    foretold = plan(chain, foretell=True)
    click.echo("\n".join(describe(chain, plan(chain) if is_ready(chain) else foretold)))
    if dry_run:
        return 0
    with alone(chain.out):
        try:
            result = run(chain, Means(resources.gpus, cpus, engine), lambda line: click.echo(line, err=True))
        except KeyboardInterrupt:
            click.echo("interrupted; the same command goes on")
            return 130
        made = write_table(chain, result)
    if made:
        click.echo(table(made.header, made.rows))
        click.echo("\n".join(["", *(f"{one[:1].upper()}{one[1:]}." for one in made.foot)]))
        click.echo(f"written: {chain.out / 'table.md'}", err=True)
    for key, why in result.failed.items():
        click.echo(f"failed: {result.graph.steps[key].title}: {why}", err=True)
    return FAILED if result.failed else 0


def describe(chain: Chain, graph: Graph) -> list[str]:
    """What a chain has to do: its steps by what they are, which folds share them, and what they cost as far as is known."""
    from fasgen.chains.run import needed

    todo = {step.key for step in needed(graph)}
    folds = chain.folds()
    lines = [
        *([chain.about] if chain.about else []),
        f"out      {chain.out}",
        f"folds    {len(folds)}: {', '.join(one.name for one in folds)}",
        f"methods  {', '.join(chain.methods)}",
        "",
    ]
    rates = _rates(graph)
    rows, total, unknown = [], 0.0, False
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in graph.steps.values():
        groups.setdefault((step.kind, step.name), []).append(step)
    for (kind, name), steps in groups.items():
        left = [one for one in steps if one.key in todo]
        served = sum(len(graph.used[one.key]) for one in steps)
        rate = rates.get((kind, name))
        seconds = None if rate is None else sum(rate * (one.steps or 1) for one in left)
        total, unknown = total + (seconds or 0), unknown or (seconds is None and bool(left))
        each = ", ".join(dict.fromkeys(str(one.steps) for one in steps if one.steps)) or "-"
        rows.append(
            (kind, name or ",".join(chain.stages), len(steps), served, len(left), each, duration(seconds if left else 0))
        )
    lines += [table(("step", "of", "times", "for folds", "to do", "optimiser steps each", "time"), rows), ""]
    if not graph.exact:
        lines.append("times are at most so many: which folds learn from the same rows is known when faces are cut")
    known = f"about {duration(total)} on one device" if total else "how long is not known before one of each has run"
    lines.append(f"{len(todo)} steps to do: {known}{', and what is not known' if unknown and total else ''}")
    return lines


def _rates(graph: Graph) -> dict[tuple[str, str], float]:
    """Seconds an optimiser step, or a whole step that has none, as steps took that are over."""
    from statistics import mean

    from fasgen.chains.outcome import read_outcome

    seen: dict[tuple[str, str], list[float]] = {}
    for step in graph.steps.values():
        folder = step.folder.parent
        others = folder.glob(f"{step.name}-*") if step.kind == "train" else folder.glob("*")
        for found in filter(None, map(read_outcome, [step.folder, *sorted(others)])):
            if found.name == step.name and found.seconds:
                seen.setdefault((step.kind, step.name), []).append(found.seconds / (found.steps or 1))
    return {key: mean(values) for key, values in seen.items()}
