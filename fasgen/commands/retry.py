"""``fasgen retry``: try rows of one reason again under other settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fasgen.commands import options
from fasgen.commands.plan import make_plan
from fasgen.commands.run import Remembering, carry_out


@click.command(cls=Remembering, short_help="Try rows of one reason again under other settings, in an added unit.")
@click.option("--reason", required=True, metavar="REASON", help="Photographs that have this reason by now.")
@click.option("--was", multiple=True, metavar="KEY=VALUE", help="Setting that made them, where the configuration has another.")
@options.settings
@options.config_options
@options.worker_options(engine="ray")
@click.option("--dry-run", is_flag=True, help="Say what would be tried and run nothing.")
@click.pass_context
def retry(
    context: click.Context,
    reason: str,
    was: Sequence[str],
    settings: Sequence[str],
    config_path: Path | None,
    store: Path | None,
    workers: options.Workers,
    dry_run: bool,
) -> int:
    """Send the photographs that have REASON through the stages again, under the settings given as KEY=VALUE, for example:

    fasgen retry --reason no_face align.min_size=40

    They make an added unit (or several) in the generations that are there, and a shard of the delivery; no unit that is there
    is changed. Their rows have the plan hash of the new settings. Spoofs are made of the live faces among them of which none
    was planned yet; spoofs that were rejected are not tried again. The store remembers what was tried: every later `fasgen run`
    makes these rows too, under its configuration with the same KEY=VALUE.

    Killed or interrupted, the same command goes on. Exit codes as of `fasgen run`.
    """
    from fasgen import stages
    from fasgen.errors import ConfigError
    from fasgen.pipeline.retry import plan_retry

    if any(setting.partition("=")[0] in {"stage", "stages"} for setting in (*was, *settings)):
        raise ConfigError("retry makes all stages of its rows; leave stage= out")
    made = options.read_request(was, config_path, store)
    options.mend(made.config.store)
    base = make_plan(made, workers)
    request = options.read_request((*was, *settings), config_path, store)
    plan = plan_retry(base, made.config, request.config, reason, targets=stages.STAGES)
    rows, units = len(plan.listing.rows), plan.listing.units
    click.echo(f"trying {rows} photographs with the reason {reason} again, in {units} added units from {plan.listing.first} on")
    if not any(stage.spec.roster for stage in plan.stages.values()):
        click.echo("no spoofs are made of them: the store has no stage that makes any under these settings")
    if dry_run:
        return 0
    return carry_out(context, plan, request, workers.engine, sheet=False)
