"""``fasgen models``: the networks, their size and what a call costs."""

from __future__ import annotations

import json

import click

from fasgen.commands.text import table


@click.command(short_help="List the networks with their size and cost.")
@click.option("--json", "as_json", is_flag=True, help="One JSON list instead of a table.")
def models(as_json: bool) -> None:
    """List the networks: those that come with fasgen, and those of the papers, which are trained or given by path.

    A call is one image through the network; a multiplication and an addition are two operations.
    """
    from dataclasses import asdict

    from fasgen.stages.networks import figures

    found = figures()
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=1))
        return
    rows = [
        (
            one.name,
            one.origin,
            " + ".join(" x ".join(map(str, shape[1:])) for shape in one.inputs),
            f"{one.parameters / 1e6:.2f}",
            f"{one.gflops:.2f}",
        )
        for one in found
    ]
    click.echo(table(("network", "of", "takes", "million weights", "GFLOPs a call"), rows))
