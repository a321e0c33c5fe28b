"""``fasgen sheet``: pictures of the samples that a filter keeps."""

from __future__ import annotations

from pathlib import Path

import click

from fasgen.commands import options


@click.command(short_help="Paint the samples that a filter keeps: fasgen sheet 'brisque > 55' --out blurred.png")
@click.argument("filter_text", metavar="[FILTER]", default="true")
@options.config_options
@click.option("--out", type=options.FILE, metavar="FILE", required=True, help="The PNG to write.")
@click.option("--limit", type=click.IntRange(1, 2000), default=48, show_default=True, help="Most samples.")
@click.option("--figures", metavar="A,B,...", help="Columns that the captions tell; else a few scores.")
@click.option("--across", type=click.IntRange(1, 20), default=2, show_default=True, help="Samples side by side.")
@click.option("--cell", type=click.IntRange(16, 1024), default=160, show_default=True, metavar="PX", help="Side of a picture.")
@click.option("--gain", type=click.FloatRange(min=0, min_open=True), default=2.0, show_default=True, help="Amplifies cues.")
def sheet(
    filter_text: str,
    config_path: Path | None,
    store: Path | None,
    out: Path,
    limit: int,
    figures: str | None,
    across: int,
    cell: int,
    gain: float,
) -> int:
    """Write a contact sheet: all pictures of each sample of which a row passes FILTER, a condition as `fasgen show` takes it.

    In a signed cue grey is 0, and 1 / gain of its full scale is black or white: of a residual 127.5 / gain levels.

    Exit codes: 0 written, 1 no sample with a picture passes.
    """
    from fasgen.audit.report.sample_sheet import write_filtered

    found = options.find_store(config_path, store)
    named = [name.strip() for name in figures.split(",") if name.strip()] if figures else []
    count = write_filtered(found, filter_text, out, limit=limit, figures=named, across=across, cell=cell, gain=gain)
    click.echo(f"{count} samples  {out}" if count else "no sample with a picture passes: nothing was written")
    return 0 if count else 1
