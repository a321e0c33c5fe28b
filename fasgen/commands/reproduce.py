"""``fasgen reproduce``: one sample, made anew."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from fasgen.commands import options

_SAMPLE = re.compile(r"(?P<id>[0-9a-f]{16})(?:-(?P<variant>\d{1,6}))?")


@click.command(short_help="Make one sample anew, and say whether it is the same.")
@click.argument("sample")
@options.settings
@options.config_options
@options.worker_options()
@click.option("--out", type=options.PATH, metavar="DIR", help="Where to write; ./reproduced/SAMPLE if not given.")
def reproduce(
    sample: str,
    settings: Sequence[str],
    config_path: Path | None,
    store: Path | None,
    workers: options.Workers,
    out: Path | None,
) -> int:
    """Make one sample anew at every stage, from what that stage read, and write it: images, arrays as .npy, the row as JSON.

    SAMPLE is a sample id, for a spoof with its variant: 0123456789abcdef-2. It needs the configuration that made it, as
    `fasgen run` was given it. Nothing is written into the store.

    Exit codes: 0 the same, or within the tolerance; 2 refused, or different.
    """
    import tempfile

    from fasgen.commands.plan import make_plans
    from fasgen.commands.text import plain
    from fasgen.pipeline.comparison import TOLERANCE
    from fasgen.pipeline.replay import of_sample, write_sample

    match = _SAMPLE.fullmatch(sample)
    if not match:
        raise click.UsageError(f"{sample!r} is no sample id: 16 hex digits, for a spoof with a dash and its variant")
    if workers.address:
        raise click.UsageError("--address: reproduce works on this machine")
    plans = make_plans(options.read_request(settings, config_path, store), workers)
    picks = of_sample(plans, match["id"], int(match["variant"] or 0))
    folder = (out or Path("reproduced") / sample).absolute()
    different = 0
    with tempfile.TemporaryDirectory(prefix="fasgen-reproduce-") as scratch:
        for one in write_sample(plans, picks, folder, Path(scratch)):
            different += one.verdict == "different"
            click.echo(f"{one.pick.stage:<16} {one.verdict}" + (f": {plain(one.detail)}" if one.detail else ""))
    click.echo(f"written to {folder} (tolerance: {TOLERANCE})")
    return 2 if different else 0
