"""``fasgen cluster``: identities where a data set has no subjects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fasgen.commands import options
from fasgen.commands.text import table


@click.command(short_help="Cluster the people of data sets that name none: fasgen cluster STORE.")
@click.argument("store_argument", metavar="[STORE]", required=False, type=options.PATH)
@options.config_options
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    help="Least mean cosine between the members of two clusters that are merged.",
)
@click.option("--neighbours", type=click.IntRange(min=1), default=32, show_default=True, help="Links kept of each face.")
@click.option("--source", "sources", multiple=True, metavar="NAME", help="Only photographs of this source; may be repeated.")
def cluster(
    store_argument: Path | None,
    config_path: Path | None,
    store: Path | None,
    threshold: float,
    neighbours: int,
    sources: Sequence[str],
) -> None:
    """Cluster all embeddings of photographs, and write STORE/identities/GENERATION.parquet.

    Each photograph gets an identity: its subject where the data set has one, else its cluster. Trainers join the table by
    sample id (`data.identities`). Where subjects are known, how far the clusters agree with them is told: purity, NMI, F1
    over pairs.
    """
    from fasgen.audit.likeness.identities import read_embedded, write_identities
    from fasgen.stages.identify.agreement import agreement
    from fasgen.stages.identify.clusters import cluster as agglomerate

    found = read_embedded(options.find_store(config_path, store_argument or store), sources)
    clusters = agglomerate(found.embeddings, threshold, neighbours)
    rows = []
    figures = {}
    for name in (None, *sorted(set(found.dataset))):
        members = [i for i, dataset in enumerate(found.dataset) if name in (None, dataset)]
        known = [i for i in members if found.subject[i] is not None]
        figure = agreement([str(found.subject[i]) for i in known], clusters[known]) if known else None
        figures[name or "all"] = {
            "faces": len(members),
            "clusters": len(set(clusters[members].tolist())),
            "known": figure.document() if figure else None,
        }
        told = (figure.purity, figure.inverse_purity, figure.nmi, figure.pair_f1) if figure else ()
        rows.append(
            (
                name or "all",
                len(members),
                figures[name or "all"]["clusters"],
                figure.subjects if figure else "-",
                *(f"{value:.3f}" for value in told or ()),
                *(() if told else ("-",) * 4),
            )
        )
    report = {"generation": found.generation, "threshold": threshold, "neighbours": neighbours, "figures": figures}
    path = write_identities(options.find_store(config_path, store_argument or store), found, clusters, report)
    header = ("source", "faces", "clusters", "known subjects", "purity", "inverse purity", "NMI", "pairs F1")
    click.echo(table(header, rows if len(rows) > 2 else rows[1:]))
    click.echo(f"written: {path}")
