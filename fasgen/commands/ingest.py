"""``fasgen ingest``: a data set, as it comes off the disk, becomes rows of a store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from fasgen.commands import options
from fasgen.commands.reading import block
from fasgen.commands.sources import counted
from fasgen.commands.text import plain, table

_SHOWN = 20


@click.command(short_help="List a data set, as it comes off the disk, into a store.")
@click.argument("name", required=False)
@click.argument("path", required=False, type=options.PATH)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@options.config_options
@click.option("--all", "everything", is_flag=True, help=f"Show every unknown file, not the first {_SHOWN}.")
def ingest(
    name: str | None,
    path: Path | None,
    settings: Sequence[str],
    config_path: Path | None,
    store: Path | None,
    everything: bool,
) -> None:
    """List the data set NAME, which lies at PATH as its authors ship it, and write its rows into the store.

    NAME is a data set (without NAME, they are listed), a YAML file that describes one of your own, or folder, csv, parquet or
    webdataset. No picture is decoded. KEY=VALUE sets what a source can have: `name=casia frames=5 exclude=[enroll/*]`.
    The same in a configuration: `sources: [{adapter: NAME, path: PATH}]`.
    """
    if name is None:
        click.echo(known())
        return
    if path is None:
        raise click.UsageError(f"where does {name} lie? Write it as: fasgen ingest {name} PATH")
    from fasgen.config import load
    from fasgen.manifests.tombstones import Retracted, read_tombstones
    from fasgen.pipeline.listing import take

    given = [f"sources=[{{adapter: {_quoted(name)}, path: {_quoted(str(path))}}}]", *(f"sources.0.{one}" for one in settings)]
    if store is not None:
        given.append(f"store={_quoted(str(store))}")
    config = load(options.find_config(config_path), given)
    listing = take(config.sources, config.unit_rows, Retracted(read_tombstones(config.store)))
    config.store.mkdir(parents=True, exist_ok=True)
    listing.write_sources(config.store)
    source, found = config.sources[0].name, next(iter(listing.scans.values()))
    click.echo(summary(config.store, source))
    # Files nobody knows are told below, and all of them if wanted.
    known_odd = tuple(one for one in found.reading.odd if one.kind != "not_known")
    for line in block([replace(found.reading, odd=known_odd)]):
        click.echo(line)
    for line in unknown(found.unknown, None if everything else _SHOWN):
        click.echo(line)
    click.echo(f"\n{len(found)} rows in {config.store / 'sources' / source}. To run on them, in fasgen.yaml:")
    click.echo(f"  sources: [{{adapter: {plain(config.sources[0].adapter)}, path: {plain(path.absolute())}}}]")


def summary(store: Path, source: str) -> str:
    """The table of one source."""
    from fasgen.audit.inventory import inventory

    return counted([one for one in inventory(store) if one.dataset == source])


def unknown(files: Mapping[str, str], most: int | None) -> list[str]:
    """Lines that name the files nobody knows, and why."""
    if not files:
        return []
    named = list(files.items())[:most]
    lines = [f"unknown: {len(files)} files are no rows, as nothing is known of them:"]
    lines += [f"  {path}: {why}" for path, why in named]
    if len(named) < len(files):
        lines.append(f"  and {len(files) - len(named)} more: see them with --all, or in left-out.tsv of the listing")
    return lines


def known() -> str:
    """The data sets that there are adapters for."""
    from fasgen.audit.inventory import adapters

    rows = [(name, about, licence) for name, about, licence in adapters()]
    return table(("data set", "what it is", "licence"), rows)


def _quoted(text: str) -> str:
    """``text`` as a YAML value that is text whatever it looks like."""
    return "'" + text.replace("'", "''") + "'"
