"""``fasgen duplicates``: what a store has twice, and what of it leaks from train into test."""

from __future__ import annotations

import json
from pathlib import Path

import click

from fasgen.commands import options
from fasgen.commands.text import table, tally


@click.command(short_help="Report the same file, picture or person on two sides: fasgen duplicates STORE.")
@click.argument("store_argument", metavar="[STORE]", required=False, type=options.PATH)
@options.config_options
@click.option("--protocol", metavar="NAME", help="Sides of this protocol's row sets instead of the data sets' own splits.")
@click.option("--distance", type=click.IntRange(0, 31), default=6, show_default=True, help="Bits between near pictures.")
@click.option(
    "--same-picture", type=click.FloatRange(-1, 1), default=0.7, show_default=True, help="Least cosine of near pictures."
)
@click.option("--same-person", type=click.FloatRange(-1, 1), default=0.8, show_default=True, help="Least cosine of one person.")
@click.option("--limit", type=click.IntRange(min=0), default=30, show_default=True, help="Pairs shown; the file has all.")
@click.option("--out", type=options.PATH, metavar="FILE", help="JSON with all pairs; STORE/duplicates.json.")
def duplicates(
    store_argument: Path | None,
    config_path: Path | None,
    store: Path | None,
    protocol: str | None,
    distance: int,
    same_picture: float,
    same_person: float,
    limit: int,
    out: Path | None,
) -> int:
    """Compare all aligned faces of a store: by the bytes of their files, by perceptual hash, and by identity.

    Exit codes: 0 nothing leaks, 1 something is on two sides.
    """
    from fasgen.audit.likeness.duplicates import find_duplicates
    from fasgen.audit.own_files import claim

    found = options.find_store(config_path, store_argument or store)
    file = out or claim(found / "duplicates.json", "name another with --out")
    sides = _sides(found, protocol) if protocol else None
    report = find_duplicates(found, sides, distance, same_picture, same_person)
    document = report.document()
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    click.echo(
        f"{report.rows} faces; pairs: {tally(document['counts']) or 'none'}; leaks: {tally(document['leaks']) or 'none'}"
    )
    if not report.has_embeddings:
        click.echo("near pictures are not confirmed and people not compared: no embedding is committed (fasgen run)")
    rows = [
        (
            "leak" if one.leaks else "",
            one.kind,
            one.one,
            one.other,
            " | ".join(str(s) for s in one.sides),
            one.distance,
            one.similarity,
        )
        for one in report.pairs[:limit]
    ]
    if rows:
        click.echo(table(("", "what", "one", "other", "sides", "bits", "cosine"), rows))
    if len(report.pairs) > limit:
        click.echo(f"and {len(report.pairs) - limit} more")
    click.echo(f"all pairs in {file}")
    return 1 if report.leaks else 0


def _sides(store: Path, protocol: str) -> dict[str, str]:
    from fasgen.errors import StoreError
    from fasgen.manifests.parquet import read_table

    folder = store / "protocols" / protocol
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise StoreError(f"{folder}: has no row sets; make them with: fasgen protocol {protocol} {store}")
    return {str(sample): file.stem for file in files for sample in read_table(file, ("sample_id",))["sample_id"].to_pylist()}
