"""``fasgen doctor``: is this machine fit for the configured run?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options

if TYPE_CHECKING:
    from fasgen.config import Config
    from fasgen.pipeline.libraries import Check


@click.command(short_help="Check this machine, the weights and every stage.")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@options.config_options
@click.option("--gpus", type=click.IntRange(min=0), metavar="N", help="GPUs to try; 0 for none. All there are.")
@click.option("--image", type=options.FILE, metavar="FILE", help="A picture to try too.")
def doctor(settings: Sequence[str], config_path: Path | None, store: Path | None, gpus: int | None, image: Path | None) -> int:
    """Check everything that a run needs and say what to do where something is missing.

    Every stage that is on is tried with pictures that fasgen carries: two people, live and in a simulated attack. The store is
    not touched.

    Exit codes: 0 nothing failed (warnings allowed), 2 something did.
    """
    from fasgen.pipeline.libraries import libraries

    failed = _told(libraries())
    if failed:
        click.echo("the rest is looked at once these libraries import")
    else:
        config = options.read_request(settings, config_path, store).config
        failed = _told(_checks(config, gpus, image))
    click.echo(f"{failed} check{'s' * (failed != 1)} failed" if failed else "all is well")
    return 2 if failed else 0


def _told(checks: Iterator[Check]) -> int:
    """Print findings as they come; how many of them failed."""
    failed = 0
    for check in checks:
        failed += check.level == "fail"
        click.echo(f"{check.level:<5} {check.what}: {check.found}" + (f"\n      {check.advice}" if check.advice else ""))
    return failed


def _checks(config: Config, gpus: int | None, image: Path | None) -> Iterator[Check]:
    from fasgen.pipeline import health
    from fasgen.pipeline.trial import trial, wired

    yield from health.machine_checks(config.store)
    yield from health.devices()
    yield from health.sources(config)
    yield from health.weights(config, dict.fromkeys(wiring.stage for wiring in wired(config).values()))
    yield from trial(config, gpus, image)
