"""``fasgen report``: what happened in the night, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options
from fasgen.commands.text import size

if TYPE_CHECKING:
    from fasgen.audit.originals import Originals


@click.command(short_help="Write the morning report: one HTML page and a short REPORT.md.")
@click.argument("folder", required=False, metavar="[STORE]", type=options.PATH)
@options.config_options
@click.option("--out", type=options.FOLDER, metavar="DIR", help="Write there, not into the store.")
@click.option(
    "--max-size",
    type=click.FloatRange(min=1),
    default=64.0,
    show_default=True,
    metavar="MB",
    help="Size that pictures fill up to.",
)
def report(folder: Path | None, config_path: Path | None, store: Path | None, out: Path | None, max_size: float) -> None:
    """Write report.html, which opens from its path in any browser and needs no network, and REPORT.md.

    The page has rows and their conservation, the course of the runs, rejects with examples, scores and their drift, strips of
    all pictures of the samples at either end of every score, and all samples with their provenance. Where the configuration
    names the sources and they are there, files that were rejected are shown as well.
    """
    from fasgen.audit.report.morning import write_report

    found = options.find_store(config_path, folder or store)
    originals = find_originals(found, config_path)
    written = write_report(found, out or found, budget=int(max_size * 1e6), originals=originals.picture if originals else None)
    click.echo(f"report  {written.page}  ({size(written.bytes)})")
    click.echo(f"short   {written.short}")
    click.echo(f"{written.samples} samples, {written.thumbnails} with a thumbnail, {written.strips} with all their pictures")
    if written.unreadable:
        click.echo(f"{written.unreadable} samples have damaged pictures: fasgen verify --store {found}", err=True)


def find_originals(store: Path, config_path: Path | None) -> Originals | None:
    """The sources of the configuration, where there is one that can be read: without it a store still tells all it holds."""
    from fasgen.errors import FasgenError

    path = options.find_config(config_path)
    if path is None:
        return None
    from fasgen.audit.originals import Originals
    from fasgen.config import load

    try:
        return Originals(store, load(path, []).sources)
    except FasgenError as error:
        click.echo(f"note: the sources are not looked at: {error}", err=True)
        return None
