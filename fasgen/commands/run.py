"""``fasgen run``: make what is not there yet."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options
from fasgen.commands.plan import describe, growth, make_plan, say_left, warned
from fasgen.commands.reading import of_plan
from fasgen.commands.text import duration

if TYPE_CHECKING:
    from fasgen.manifests.ledger import Ledger
    from fasgen.pipeline.engine import Engine
    from fasgen.pipeline.outcome import RunResult
    from fasgen.pipeline.plan import Plan

_STAMP = re.compile(r"\d{8}-\d{6}")

ARGUMENTS = "fasgen.arguments"
"""Under this name the context keeps the command line as it was typed, for the command that resumes."""


class Remembering(click.Command):
    """Keeps the command line as it was typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        return super().parse_args(ctx, args)


@click.command(cls=Remembering, short_help="Make what is not there yet, in all stages or some.")
@options.settings
@options.config_options
@options.worker_options(engine="ray")
@options.only_option
@click.option("--dry-run", is_flag=True, help="Print the plan and run nothing.")
@click.pass_context
def run(
    context: click.Context,
    settings: Sequence[str],
    config_path: Path | None,
    store: Path | None,
    workers: options.Workers,
    only: bool,
    dry_run: bool,
) -> int:
    """Run the stages on what is not committed yet.

    stage=NAME makes one stage, and before it what it is made from, as far as that is not there or is stale; stage=a,b several;
    stage=all (the default) every one. With --only it is that stage alone, on what its upstream has committed. What lies in the
    store of stages that follow, and is stale afterwards, is named with its command.
    Any value of the configuration can be given as KEY=VALUE, for example defake.t=600 align.detector=retinaface.

    Ctrl-C once finishes the units in hand, twice stops. What is committed stays; the same command goes on from there.

    Exit codes: 0 finished, 2 refused, 3 finished with more failed samples than the budget allows, 130 interrupted.
    """
    request = options.read_request(settings, config_path, store, only=only)
    if not dry_run:
        options.mend(request.config.store)
    plan = make_plan(request, workers, measuring=True)
    if dry_run:
        from fasgen.pipeline.estimate import estimate

        click.echo(describe(plan, estimate(plan, probing=False)))
        return 0
    for line in [*of_plan(plan), *(f"note: {note}" for note in plan.notes())]:
        click.echo(line, err=True)
    return carry_out(context, plan, request, workers.engine, sheet=True)


def carry_out(context: click.Context, plan: Plan, request: options.Request, engine: str, *, sheet: bool) -> int:
    """Run a plan and say what came of it, and how the very command that was typed goes on; the exit code.

    Args:
        context: of a command that is `Remembering`.
        plan: what to make.
        request: what was asked for.
        engine: ``ray`` or ``local``.
        sheet: whether a contact sheet is drawn.
    """
    run_id = new_run_id(plan.store)
    resume = shlex.join(["fasgen", str(context.info_name), *context.meta[ARGUMENTS]])
    try:
        result = execute(plan, request, engine, run_id)
    except KeyboardInterrupt:
        # Before the run counts interrupts itself, or after: nothing that is committed is lost.
        click.echo(f"interrupted; go on with:\n{resume}")
        return 130
    drawn = draw_sheet(plan, plan.store / "runs" / run_id / "contact-sheet.png") if sheet else None
    stale = _stale(plan, request, result, str(context.info_name), context.meta[ARGUMENTS])
    click.echo("\n".join([*closing(plan, result, resume, drawn), *stale]))
    return result.outcome.exit_code


def execute(plan: Plan, request: options.Request, engine: str, run_id: str) -> RunResult:
    """Run a plan, and what rows that were tried again earlier need of it, each with a ledger of its own."""
    from fasgen import stages
    from fasgen.manifests.added_file import read_added
    from fasgen.pipeline.addition import additions
    from fasgen.pipeline.outcome import Outcome
    from fasgen.pipeline.plan import build_plan

    result = _execute(plan, request, engine, run_id)
    if plan.tried_again or result.outcome is not Outcome.FINISHED or not read_added(plan.store):
        return result
    base = build_plan(request.config, request.stages, plan.store, resources=plan.resources, targets=stages.STAGES)
    found, left = additions(base, request.config, targets=stages.STAGES)
    say_left(left)
    for number in range(len(found)):
        # Anew each time: what one makes, the next one may read.
        one = additions(base, request.config, targets=stages.STAGES)[0][number]
        if one.tried_again and one.todo + one.unsure:
            reason, units = one.tried_again.reason, one.todo + one.unsure
            click.echo(f"rows that were tried again ({reason}) are made in these generations too: {units} units", err=True)
            result = result.plus(_execute(one, request, engine, new_run_id(plan.store)))
        if result.outcome is not Outcome.FINISHED:
            break
    return result


def _execute(plan: Plan, request: options.Request, engine: str, run_id: str) -> RunResult:
    """Run a plan: lock, ledger, engine and progress."""
    from fasgen.manifests.ledger import Ledger
    from fasgen.manifests.lock import StoreLock
    from fasgen.pipeline.options import RunOptions
    from fasgen.pipeline.progress import progress_for
    from fasgen.pipeline.run import run as drive
    from fasgen.pipeline.schedule import Budget

    allowed = request.config.budget
    # The lock first, so that a second driver leaves no history.
    with StoreLock(plan.store) as lock, Ledger(plan.store, run_id) as ledger:
        carried_out = RunOptions(
            budget=Budget(allowed.max_failed, allowed.max_failed_rate),
            time_limit=request.config.time_limit,
            crumbs=plan.store / "runs" / run_id,
            lock=lock,
            foretold=_foretell(plan, ledger),
        )
        return drive(plan, _engine(plan, engine), progress_for(), ledger, carried_out)


def _foretell(plan: Plan, ledger: Ledger) -> dict[str, float]:
    """Seconds of work by stage, as units of earlier runs and probes that were kept let one expect.

    The whole is written down, so that the report can say what it was worth.
    """
    from fasgen.pipeline.estimate import estimate, total_seconds

    found = [one for one in estimate(plan, probing=False) if one.units]
    if found and all(one.seconds is not None for one in found):
        ledger.event("predicted", seconds=total_seconds(plan, found), stages={one.stage: one.seconds for one in found})
    return {one.stage: one.work for one in found if one.work is not None}


def _engine(plan: Plan, name: str) -> Callable[[], Engine]:
    if name == "local":
        from fasgen.pipeline.local_engine import LocalEngine

        return partial(LocalEngine, plan.staff)

    def ray() -> Engine:
        from fasgen.pipeline.ray_engine import RayEngine

        return RayEngine(plan.staff)

    return ray


def new_run_id(store: Path) -> str:
    """A name for this invocation that sorts by time and is not taken."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    taken = {entry.name for entry in (store / "runs").iterdir()} if (store / "runs").is_dir() else set()
    # A clock that was set back would name this run before the last one.
    stamp = max([stamp, *(name[: len(stamp)] for name in taken if _STAMP.match(name))])
    return next(name for n in range(len(taken) + 1) if (name := stamp if n == 0 else f"{stamp}-{n}") not in taken)


def closing(plan: Plan, result: RunResult, resume: str, sheet: Path | None) -> list[str]:
    """The last lines of a run: what was made, where it lies, and how to go on."""
    from fasgen.manifests.yields import read_yields, warnings
    from fasgen.pipeline.outcome import Outcome

    kept = read_yields([stage.folder for stage in plan.wanted])
    counts = f"{result.planned} rows: {result.ok} ok, {result.filtered} filtered, {result.failed} failed"
    again = f" ({result.again} of them again, since what they are made from has changed)" if result.again else ""
    lines = warned(warnings(kept))
    lines += [f"{result.outcome.replace('_', ' ')}: {result.units} units{again}, {counts}", *growth(plan)]
    if result.deaths:
        lines.append(f"{result.deaths} workers died and were replaced; see {plan.store / 'runs'}")
    lines += _time(result)
    lines += _whereabouts(plan)
    if sheet:
        lines.append(f"contact sheet  {sheet}")
    if result.outcome is Outcome.OVER_BUDGET:
        lines.append(
            f"{result.error}. Their reasons: fasgen show 'status == \"failed\"' --store {shlex.quote(str(plan.store))}"
        )
    elif result.outcome is Outcome.ERROR:
        lines.append(f"stopped: {result.error}")
    if result.outcome is Outcome.INTERRUPTED or (result.remaining and result.outcome is not Outcome.FINISHED):
        lines.append(f"{result.remaining} units are left; go on with:")
        lines.append(resume)
    return lines


def _time(result: RunResult) -> list[str]:
    """What the workers' time went into, and how soon there was something; nothing where no unit was made."""
    use = result.use
    if use is None or result.first_unit is None:
        return []
    lost = {"starting": use.start + use.build, "compiling": use.compile, "waiting": use.wait}
    parts = ", ".join(f"{duration(seconds)} {name}" for name, seconds in lost.items())
    workers = f"{use.workers} worker" + ("" if use.workers == 1 else "s")
    return [
        f"{use.device} time       {100 * use.utilisation:.0f} % computing of {duration(use.wall)}, {workers}; lost: {parts}",
        f"first unit     after {duration(result.first_unit)}",
    ]


def _stale(plan: Plan, request: options.Request, result: RunResult, name: str, arguments: Sequence[str]) -> list[str]:
    """What lies in other stages and is behind what was made now, and the command that makes it again."""
    from fasgen import stages
    from fasgen.errors import FasgenError
    from fasgen.manifests.plan_file import read_current
    from fasgen.pipeline.outcome import Outcome
    from fasgen.pipeline.plan import build_plan

    # Of a run that did not finish, the last line is the command that goes on.
    if result.outcome is not Outcome.FINISHED or request.stages == ("all",) or plan.tried_again:
        return []
    try:
        whole = build_plan(request.config, ["all"], plan.store, resources=plan.resources, targets=stages.STAGES)
    except FasgenError:
        # Stages that were not asked for may lack weights; the run is over all the same.
        return []
    current, behind = read_current(plan.store), dict[str, str]()
    for stage in whole.wanted:
        units = len(stage.will_have) - len(stage.committed)
        if stage.name in {one.name for one in plan.wanted} or not units:
            continue
        if stage.folder.is_dir():
            behind[stage.name] = f"{stage.name} ({units} of {stage.units} units)"
        elif stage.name in current:
            behind[stage.name] = f"{stage.name} ({current[stage.name][0].folder} has other settings)"
    if not behind:
        return []
    # The same settings with them: under others these stages would be made from something else again.
    same = [each for each in arguments if not options.names_stages(each) and each != "--only"]
    again = shlex.join(["fasgen", name, f"stage={','.join(behind)}", *same])
    return [f"stale          {', '.join(behind.values())}: behind what is there now; make them with:", again]


def _whereabouts(plan: Plan) -> list[str]:
    """Where results and shards lie, as far as there are any."""
    made = [stage for stage in plan.wanted if stage.folder.is_dir()]
    lines = [f"results        {stage.folder}" for stage in made if not stage.spec.shipped]
    return lines + [f"shards         {stage.folder}" for stage in made if stage.spec.shipped]


def draw_sheet(plan: Plan, out: Path) -> Path | None:
    """The contact sheet of what has a cue or spoofs; None if nothing has any yet."""
    from fasgen.audit.report.run_sheet import write_sheet
    from fasgen.errors import FasgenError

    folders = {name: stage.folder for name, stage in plan.stages.items() if stage.folder.is_dir()}
    try:
        return out if write_sheet(folders, out) else None
    except (FasgenError, OSError) as error:
        # The run's work is done and committed; a picture of it must not turn that into a failure.
        click.echo(f"note: no contact sheet: {error}", err=True)
        return None
