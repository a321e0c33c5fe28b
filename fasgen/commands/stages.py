"""``fasgen stages``: what can be run and trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fasgen.commands.text import table

if TYPE_CHECKING:
    from fasgen.stages.stage import StageSpec


@click.command(short_help="List the stages and the trainings.")
def stages() -> None:
    """List the stages in the order in which samples meet them, and what can be trained.

    [cues] are those that the stages which are on make, whichever they are.
    """
    from fasgen.stages import specs
    from fasgen.training.config import trainings

    rows = [(name, _inputs(spec), spec.device, spec.version, spec.summary) for name, spec in specs().items()]
    click.echo(table(("stage", "from", "device", "version", "what it makes"), rows))
    click.echo()
    click.echo(table(("training", "what it trains"), [(name, spec.summary) for name, spec in trainings().items()]))


def _inputs(spec: StageSpec) -> str:
    lanes = [
        " + ".join([*dict.fromkeys(read.stage for read in reads), *(["[cues]"] if spec.gathers else [])])
        for reads in (spec.reads, spec.also)
        if reads
    ]
    return " and ".join(lanes) or "sources"
