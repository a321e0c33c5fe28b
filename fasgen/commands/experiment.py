"""``fasgen experiment``: train and evaluate what one file describes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fasgen.commands import options


@click.command(short_help="Train on packed shards, score, and print the table of one file.")
@click.argument("config", type=options.PATH)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--only", multiple=True, metavar="VARIANT", help="Only this variant; may be repeated. The others' runs stay.")
@click.option(
    "--device", default="auto", show_default=True, metavar="NAME", help="auto takes a GPU where there is one; or cpu, cuda:1."
)
@click.option(
    "--strict", is_flag=True, help="Refuse where anything on the trained side has seen what is tested, or does not say."
)
def experiment(config: Path, settings: Sequence[str], only: Sequence[str], device: str, strict: bool) -> None:
    """Run the experiment of CONFIG: every variant, fold and seed, then one table of HTER and AUC.

    First it names what the trained side knows of what is tested: people on both sides, and what the networks behind cues and
    synthetic samples have seen.

    Runs that are complete are not run again, one that was cut off goes on. Settings hold for all variants: `fasgen experiment
    oanet.yaml loop.steps=500 'seeds=[0,1]'`. Scores, tables and pictures are written to its `out`. Several GPUs train each
    run together under torchrun: `torchrun --nproc-per-node 4 -m fasgen experiment oanet.yaml`.
    """
    from functools import partial

    from fasgen.commands.device import torch_device
    from fasgen.config.variants import load_variants
    from fasgen.downstream import conditions
    from fasgen.downstream.config import Experiment
    from fasgen.downstream.tables import build, render
    from fasgen.downstream.train import run_experiments
    from fasgen.errors import ConfigError

    experiments = load_variants(Experiment, config, settings)
    unknown = [name for name in only if name not in experiments]
    if unknown:
        raise ConfigError(f"--only {unknown[0]}: there is no such variant; there are: {', '.join(experiments)}")
    experiments = {name: one for name, one in experiments.items() if name in only or not only}
    place = torch_device(device)
    folder, evaluations = run_experiments(experiments, place, partial(click.echo, err=True), strict)
    if not evaluations:
        return
    foot = conditions.beside(folder / "scores.csv")
    click.echo(render(build(evaluations, "cross", foot), "text"), nl=False)
    if len({one.protocol for one in evaluations}) > 1:
        click.echo("\n" + render(build(evaluations, "summary", foot), "text"), nl=False)
    click.echo(f"written: {folder}", err=True)
