"""``fasgen verify``: does the store hold what its manifests say, and can it be made again?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fasgen.commands import options


@click.command(short_help="Check every digest, count, seed and plan in the store; make random rows again.")
@options.settings
@options.config_options
@options.worker_options()
@click.option("--replay", type=click.IntRange(min=1), metavar="N", help="Make N random rows again and compare them.")
@click.option("--take-back", is_flag=True, help="Take damaged units back, so that `fasgen run` makes them again.")
@click.option("--strict", is_flag=True, help="Networks that have seen what is tested are an error, not a warning.")
@click.option("--draw", type=int, default=0, show_default=True, metavar="SEED", help="Which rows --replay draws.")
def verify(
    settings: Sequence[str],
    config_path: Path | None,
    store: Path | None,
    workers: options.Workers,
    replay: int | None,
    take_back: bool,
    strict: bool,
    draw: int,
) -> int:
    """Read the whole store and compare it with its manifests: conservation of rows, unique ids, digests, seeds, plan hashes,
    weights, parents, splits, and that nobody is left who was taken out. It also names what the networks behind the store have
    seen of the rows that are tested: of split test, and of the test sides of protocols that were laid over it.

    --replay N also makes N random rows again, from what their stage read, and says for each whether it is identical. It needs
    the configuration that made them, as `fasgen run` was given it; the settings of `fasgen retry` it finds in the store.

    Nothing is changed, but by --take-back: units whose files have other bytes than were committed are taken back, and the next
    `fasgen run` makes them again. What lies outside of units `fasgen run` mends by itself.

    Exit codes: 0 all is well (warnings allowed), 2 something is damaged, or a row came out different.
    """
    from fasgen.audit.verify import verify as check

    if settings and not replay:
        raise click.UsageError("settings are for --replay N; without it, verify needs --store or --config alone")
    if workers.address:
        raise click.UsageError("--address: verify works on this machine")
    found = options.find_store(config_path, store)
    findings = check(found, strict)
    for finding in findings:
        click.echo(f"{finding.severity:<8} {finding.where}: {finding.what}")
    if take_back:
        from fasgen.audit.take_back import take_back as take

        for folder, unit in take(found, findings):
            click.echo(f"taken back {folder.name} unit {unit}")
    errors = sum(str(finding.severity) == "error" for finding in findings)
    click.echo(f"{found}: {errors} errors, {len(findings) - errors} warnings")
    different = _replay(options.read_request(settings, config_path, store), replay, draw, workers) if replay else 0
    return 2 if errors or different else 0


def _replay(request: options.Request, count: int, draw: int, workers: options.Workers) -> int:
    """Print a verdict for each row; how many are different."""
    import tempfile
    from collections import Counter

    from fasgen.commands.plan import make_plans
    from fasgen.commands.text import plain, tally
    from fasgen.pipeline.comparison import TOLERANCE
    from fasgen.pipeline.replay import choose, replay

    plans = make_plans(request, workers)
    verdicts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="fasgen-replay-") as scratch:
        for one in replay(plans, choose(plans, count, draw), Path(scratch)):
            verdicts[one.verdict] += 1
            where = f"{one.pick.stage} unit {one.pick.unit} sample {one.sample_id}"
            variant = f" variant {one.pick.variant}" if one.pick.variant else ""
            click.echo(f"{one.verdict:<16} {where}{variant}" + (f": {plain(one.detail)}" if one.detail else ""))
    click.echo(f"made again: {tally(verdicts)} (tolerance: {TOLERANCE})")
    return verdicts["different"]
