"""``fasgen stages``: what can be run and trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fasgen.commands.text import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fasgen.stages.stage import Reads, StageSpec


@click.command(short_help="List the stages and the trainings.")
def stages() -> None:
    """List the stages in the order in which samples meet them, and what can be trained.

    [cues] are those that the stages which are on make, whichever they are.
    """
    from fasgen.pipeline.wiring import Lanes
    from fasgen.stages import specs
    from fasgen.training.config import trainings

    known = specs()
    lanes = Lanes(known)
    rows = []
    for name, (stage, of) in lanes.makes.items():
        spec = known[stage]
        summary = spec.summary if name == stage else f"what {stage} makes of the samples of {of[0]}"
        rows.append((name, _inputs(spec, [lanes.reads(stage, lane) for lane in of]), spec.device, spec.version, summary))
    click.echo(table(("stage", "from", "device", "version", "what it makes"), rows))
    click.echo()
    click.echo(table(("training", "what it trains"), [(name, spec.summary) for name, spec in trainings().items()]))


def _inputs(spec: StageSpec, sets: Sequence[Sequence[Reads]]) -> str:
    lanes = [
        " + ".join([*dict.fromkeys(read.stage for read in reads), *(["[cues]"] if spec.gathers else [])])
        for reads in sets
        if reads
    ]
    return " and ".join(lanes) or "sources"
