"""``fasgen sources``: what the data sets of a store hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options
from fasgen.commands.text import table, tally

if TYPE_CHECKING:
    from fasgen.audit.inventory import Count

HEADER = ("data set", "split", "videos", "pictures", "frames", "subjects", "live", "spoof", "no face", "published", "families")


@click.command(short_help="Count the data sets of a store beside the published figures.")
@click.argument("where", metavar="[STORE]", required=False, type=options.PATH)
@options.config_options
def sources(where: Path | None, config_path: Path | None, store: Path | None) -> None:
    """Count every listed data set by split: files, frames, subjects, live and spoof by family, frames without a face.

    The column `published` says whether the counts are those that the authors state, or which are not. Subjects in brackets
    are clips or pictures that stand for people, where a data set does not tell people.
    """
    from fasgen.audit.inventory import inventory

    click.echo(counted(inventory(options.find_store(config_path, where or store))))


def counted(counts: Sequence[Count]) -> str:
    """The counts as a table."""
    rows = []
    for one in counts:
        people = (
            f"{one.subjects}" if not one.pseudo else f"({one.pseudo})" if not one.subjects else f"{one.subjects} ({one.pseudo})"
        )
        agreed = "-" if one.published is None else "; ".join(one.differences) or "as published"
        rows.append(
            (
                *(one.dataset, one.split, one.videos, one.pictures, one.frames, people, one.live, one.spoof),
                *("-" if one.faceless is None else one.faceless, agreed, tally(one.families) or "-"),
            )
        )
    return table(HEADER, rows)
