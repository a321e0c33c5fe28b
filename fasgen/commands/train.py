"""``fasgen train``: train one of fasgen's networks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import click

from fasgen.commands import options


@click.command(short_help="Train a network; `fasgen stages` lists them.")
@click.argument("name")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--config", "config_path", type=options.PATH, metavar="FILE", help="Configuration; ./fasgen.yaml.")
@click.option(
    "--gpus", type=click.IntRange(min=0), metavar="N", help="GPUs, one rank each; 0 trains on the CPU. All there are."
)
@click.option(
    "--ranks", type=click.IntRange(min=1), default=1, show_default=True, metavar="N", help="Processes, where no GPU is used."
)
def train(name: str, settings: Sequence[str], config_path: Path | None, gpus: int | None, ranks: int) -> None:
    """Train NAME, or go on where a checkpoint lies in its folder.

    It says what is trained on what, and how long it takes; curve, sheets and checkpoints lie in the folder, finished weights in
    final/ below it.

    Keys are those of the training: `fasgen train dfg steps=100000 faces.path=photos` sets train.dfg.steps and
    train.dfg.faces.path.
    """
    from fasgen.config import load, nearest
    from fasgen.errors import ConfigError
    from fasgen.pipeline.resources import claim, machine
    from fasgen.training.config import trainings
    from fasgen.training.launch import launch

    known = trainings()
    if name not in known:
        guess = nearest(name, list(known))
        hint = f"; did you mean {guess}?" if guess else "."
        raise ConfigError(f"there is no training {name!r}{hint} Trainings: {', '.join(known)}")
    below = [_below(name, setting, known[name].config.model_fields) for setting in settings]
    config = load(options.find_config(config_path), below, uses=(f"train.{name}",))
    resources = claim(machine(), gpus)
    click.echo(f"trained: {launch(known[name], config.training(name), resources.gpus, ranks)}")


def _below(name: str, setting: str, own: Collection[str]) -> str:
    """A key of the training itself is put below ``train.NAME``; any other key is meant from the root."""
    first = setting.partition("=")[0].partition(".")[0]
    from_root = first in {"train", "preset"} and first not in own
    return setting if from_root else f"train.{name}.{setting}"
