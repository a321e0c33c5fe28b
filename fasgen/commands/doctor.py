"""``fasgen doctor``: is this machine fit for the configured run?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options

if TYPE_CHECKING:
    from fasgen.config import Config
    from fasgen.pipeline.health import Check


@click.command(short_help="Check this machine, the weights and every stage.")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@options.config_options
@click.option("--gpus", type=click.IntRange(min=0), metavar="N", help="GPUs to try; 0 for none. All there are.")
@click.option("--image", type=options.PATH, metavar="FILE", help="Picture to try; else the first of the sources.")
def doctor(settings: Sequence[str], config_path: Path | None, store: Path | None, gpus: int | None, image: Path | None) -> int:
    """Check everything that a run needs and say what to do where something is missing.

    Exit codes: 0 nothing failed (warnings allowed), 2 something did.
    """
    config = options.read_request(settings, config_path, store).config
    failed = 0
    for check in _checks(config, gpus, image):
        failed += check.level == "fail"
        click.echo(f"{check.level:<5} {check.what}: {check.found}" + (f"\n      {check.advice}" if check.advice else ""))
    click.echo(f"{failed} checks failed" if failed else "all is well")
    return 2 if failed else 0


def _checks(config: Config, gpus: int | None, image: Path | None) -> Iterator[Check]:
    from fasgen.pipeline import health

    yield from health.versions()
    yield from health.machine_checks(config.store)
    yield from health.devices()
    yield from health.weights(config)
    yield from health.one_sample(config, gpus, image)
