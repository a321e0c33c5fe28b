"""``fasgen protocol``: who trains, who tunes, who tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options
from fasgen.commands.text import plain, table

if TYPE_CHECKING:
    from fasgen.audit.protocol_sets import ProtocolReport
    from fasgen.sources.protocols import Protocol


@click.command(short_help="Write the rows that train, tune and test under a protocol: fasgen protocol oulu-1 STORE.")
@click.argument("name", metavar="[NAME]", required=False)
@click.argument("store_argument", metavar="[STORE]", required=False, type=options.PATH)
@options.config_options
@click.option("--as", "aliases", multiple=True, metavar="DATASET=SOURCE", help="Which source is the data set of that name.")
@click.option(
    "--lists",
    type=options.PATH,
    metavar="PATH",
    help="The folder of the data set's own lists, which outweigh the rules; or a CSV of name and split. Default: where the "
    "configured source has them.",
)
def protocol(
    name: str | None,
    store_argument: Path | None,
    config_path: Path | None,
    store: Path | None,
    aliases: Sequence[str],
    lists: Path | None,
) -> int:
    """Write the rows of protocol NAME to STORE/protocols/NAME and say what is missing; of a protocol with folds (oulu-3) all of
    them, or one (oulu-3/2). Without NAME: list the protocols.

    Trainings and experiments read it by `protocol=NAME`, `fasgen eval` by --protocol NAME --store STORE.

    Synthetic rows join the train side where everybody they were made from is on it, and no other.
    Exit codes: 0 complete and disjoint, 1 something is missing, 2 somebody is on two sides.
    """
    from fasgen.audit.protocol_sets import find_protocols, lay
    from fasgen.sources.protocols import FAMILIES, PROTOCOLS

    if name is None:
        click.echo(table(("protocol", "what it is"), [(one.name, one.about) for one in PROTOCOLS.values()]))
        click.echo("with folds: " + "; ".join(f"{family} ({len(folds)})" for family, folds in FAMILIES.items()))
        return 0
    worst, renamed, place = 0, _pairs(aliases), options.find_store(config_path, store_argument or store)
    for wanted in find_protocols(name):
        by = lists if lists is not None else _shipped(wanted, renamed, config_path)
        worst = max(worst, _say(lay(place, wanted, renamed, by), by))
    return worst


def _say(made: ProtocolReport, lists: Path | None) -> int:
    """Print what became of a protocol; its exit code."""
    document, wanted = made.document(), made.protocol
    click.echo(f"{wanted.name}: {wanted.about}")
    if lists is not None:
        click.echo(f"by the lists in {plain(lists)}")
    rows = [
        (side, one["rows"], one["clips"]["live"], one["clips"]["spoof"], one["subjects"], one["rows_without_subject"])
        for side, one in document["sides"].items()
    ]
    click.echo(table(("side", "rows", "live files", "spoof files", "subjects", "rows of unknown subject"), rows))
    synthetic = document["synthetic"]
    if synthetic["in_train"] or synthetic["elsewhere"]:
        click.echo(
            f"synthetic: {synthetic['in_train']} rows join train, {synthetic['elsewhere']} belong elsewhere and join none"
        )
    for note in wanted.notes:
        click.echo(f"note: {note}")
    for sentence in made.sides.missing:
        click.echo(f"missing: {sentence}")
    for sentence in made.sides.differences:
        click.echo(f"differs: {sentence}")
    for subject, sides in list(made.sides.shared.items())[:20]:
        click.echo(f"on two sides: {subject} is in {' and '.join(sides)}")
    for sample, sides in list(made.synthetic.mixed.items())[:20]:
        click.echo(f"on two sides: synthetic {sample} was made from people of {' and '.join(sides)}; it joins none")
    click.echo(f"row sets in {made.folder}")
    if made.sides.shared or made.synthetic.mixed:
        return 2
    return 0 if made.is_sound else 1


def _shipped(wanted: Protocol, aliases: Mapping[str, str], config_path: Path | None) -> Path | None:
    """The lists that lie in the configured source, where there is a configuration that can be read."""
    from fasgen.audit.protocol_sets import find_lists
    from fasgen.config import load
    from fasgen.errors import FasgenError

    path = options.find_config(config_path)
    if path is None:
        return None
    try:
        return find_lists(wanted, load(path, []).sources, aliases)
    except FasgenError as error:
        click.echo(f"note: the sources are not searched for lists: {error}", err=True)
        return None


def _pairs(aliases: Sequence[str]) -> dict[str, str]:
    from fasgen.errors import ConfigError

    pairs = {}
    for text in aliases:
        dataset, equals, source = text.partition("=")
        if not (dataset and equals and source):
            raise ConfigError(f"--as {text}: write DATASET=SOURCE, for example --as oulu-npu=my-oulu")
        pairs[dataset] = source
    return pairs
