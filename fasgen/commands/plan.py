"""``fasgen plan``: what a run would do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options
from fasgen.commands.reading import of_plan
from fasgen.commands.text import duration, plain, size, table

if TYPE_CHECKING:
    from fasgen.manifests.added_file import Added
    from fasgen.pipeline.estimate import Estimate
    from fasgen.pipeline.plan import Plan
    from fasgen.pipeline.rehearsal import Rehearsal


@click.command(short_help="Show what would run, how long and how much.")
@options.settings
@options.config_options
@options.worker_options()
@options.only_option
@click.option("--probe/--no-probe", default=True, help="Time a few samples where no unit is committed yet.")
def plan(
    settings: Sequence[str],
    config_path: Path | None,
    store: Path | None,
    workers: options.Workers,
    only: bool,
    probe: bool,
) -> None:
    """Show what `fasgen run` with the same arguments would do, without doing it.

    Times come from committed units, or from a few samples that are run through the stages and thrown away.
    """
    from fasgen import stages
    from fasgen.pipeline.addition import additions
    from fasgen.pipeline.estimate import estimate

    request = options.read_request(settings, config_path, store, only=only)
    made = make_plan(request, workers, measuring=probe)
    click.echo(describe(made, estimate(made, probing=probe)))
    found, left = additions(made, request.config, targets=stages.STAGES)
    say_left(left)
    for one in found:
        if one.tried_again and one.todo + one.unsure:
            click.echo(f"Rows that were tried again ({one.tried_again.reason}): {one.todo + one.unsure} units more.")


def make_plan(request: options.Request, workers: options.Workers, *, measuring: bool = False) -> Plan:
    """The plan for ``request`` on this machine, or on a cluster.

    Args:
        request: what was asked for.
        workers: who shall work on it, and where.
        measuring: whether batches that are left to the device and not known yet are measured now, which takes minutes once.

    Raises:
        FasgenError: a source, weights or resources are not there.
    """
    from fasgen import stages
    from fasgen.pipeline.batch import Batches
    from fasgen.pipeline.cluster import address_of
    from fasgen.pipeline.plan import build_plan
    from fasgen.pipeline.resources import claim, machine

    config, address = request.config, address_of(workers.place)
    if address:
        from fasgen.pipeline.ray_connection import connect

        have = connect(address)
    else:
        have = machine()
    cpus = workers.cpus if workers.cpus is not None else config.workers
    resources = claim(have, workers.gpus, cpus, threads=config.threads, address=address)
    batches = Batches(resources, partial(_measured, address) if measuring else None)
    return build_plan(
        config,
        request.stages,
        config.store,
        resources=resources,
        targets=stages.STAGES,
        batches=batches,
        ancestors=not request.only,
    )


def _measured(address: str, job: Rehearsal, model: str) -> dict[int, float]:
    """Images a second by batch, of a stage on a GPU of this machine or of the cluster."""
    from fasgen.pipeline.graph import resolve

    name = resolve(job.target).name
    click.echo(f"measuring which batch suits {name} on {model}, once: {name}.batch=N takes N without measuring", err=True)
    if address:
        from fasgen.pipeline.ray_rehearsal import rehearse

        return rehearse(job, model)
    from fasgen.pipeline.rehearsal import in_process

    return in_process(job, model)


def make_plans(request: options.Request, workers: options.Workers) -> list[Plan]:
    """The plan for ``request`` on this machine, and those of the units that `fasgen retry` added to its generations.

    An addition whose rows cannot be made again is named on standard error.

    Raises:
        FasgenError: a source, weights or resources are not there.
    """
    from fasgen import stages
    from fasgen.pipeline.addition import additions

    base = make_plan(request, replace(workers, address=options.HERE))
    found, left = additions(base, request.config, targets=stages.STAGES)
    say_left(left)
    return [base, *found]


def say_left(left: Sequence[tuple[Added, str]]) -> None:
    """Name the additions that cannot be made under a configuration, on standard error."""
    for added, why in left:
        units = f"unit {added.first}" if added.units == 1 else f"units {added.first} to {added.numbers[-1]}"
        click.echo(f"note: added {units} ({added.reason}) cannot be made again: {plain(why)}", err=True)


def growth(plan: Plan) -> list[str]:
    """What has come of the sources since the last run, in one line; none for a store that knew no row of them before."""
    grown = plan.listing.growth
    known = grown.kept or grown.changed or grown.gone or grown.back
    return [f"rows     {grown}"] if known and not plan.tried_again else []


def warned(told: Sequence[str]) -> list[str]:
    """Warnings as lines, which come before all else."""
    return [f"warning: {one}" for one in told]


_NAMED = 4
"""Stages that are named as those that another reads; what packs reads nearly all."""


def describe(plan: Plan, estimates: Sequence[Estimate]) -> str:
    """The plan in words and a table."""
    from fasgen.manifests.yields import warnings
    from fasgen.pipeline.estimate import total_seconds

    lines = warned(warnings([one.kept for one in estimates if one.kept]))
    lines.append(f"store    {plan.store}")
    lines += of_plan(plan) + growth(plan)
    kind = f" {plan.resources.accelerator}" if plan.resources.accelerator else ""
    have = plan.resources
    lines.append(f"workers  {have.gpus} GPU{kind}, {have.cpus} CPU; threads a worker: {have.threads}")
    lines += [f"batch    {stage.name}: {stage.batch}, {stage.batch_why}" for stage in plan.stages.values() if stage.batch_why]
    rows = []
    for one in estimates:
        stage = plan.stages[one.stage]
        read = stage.wiring.stages
        inputs = " + ".join(read[:_NAMED]) + (f" + {len(read) - _NAMED} more" if len(read) > _NAMED else "") or "sources"
        look = (len(stage.unsure),) if plan.unsure else ()
        figures = (stage.units, len(stage.committed), *look, one.units, one.rows)
        rows.append((one.stage, inputs, *figures, duration(one.seconds), size(one.bytes), one.basis, stage.folder.name))
    look_at = ("to look at",) if plan.unsure else ()
    header = ("stage", "from", "units", "done", *look_at, "to do", "rows", "time", "bytes", "by", "generation")
    lines += ["", table(header, rows), ""]
    if plan.todo:
        known = all(one.seconds is not None for one in estimates)
        more = "" if known else ", and what is not known"
        total, seconds = sum(one.bytes or 0 for one in estimates), total_seconds(plan, estimates)
        # What is done costs nothing, which is known of it, and says nothing of the rest.
        told = (
            f"about {duration(seconds)} and {size(total)}{more}" if known or seconds else "how long and how much is not known"
        )
        lines.append(f"{plan.todo} units to do: {told}.")
    elif not plan.unsure:
        lines.append("Nothing to do: everything that can be made is committed.")
    if plan.unsure:
        lines.append(
            f"{plan.unsure} units are to be looked at again once what they read is made: where that is the same, they stay."
        )
    lines += [f"{one.stage}: no estimate: {one.note}" for one in estimates if one.note]
    return "\n".join([*lines, *(f"note: {note}" for note in plan.notes())])
