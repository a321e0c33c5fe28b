"""``fasgen config``: what the configuration comes to, or what it could hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from fasgen.commands import options


@click.command(short_help="Print the resolved configuration, or the reference.")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@options.config_options
@click.option("--reference", "whole", is_flag=True, help="Print every key with its type, range, default and meaning instead.")
def config(settings: Sequence[str], config_path: Path | None, store: Path | None, whole: bool) -> None:
    """Print what the configuration and the settings come to: YAML with every default filled in, ready to be kept and edited.

    --reference prints the reference in Markdown; it depends on no file and no setting.
    """
    if whole:
        from fasgen.config.reference import reference

        click.echo(reference(), nl=False)
        return
    from fasgen.config.written import as_yaml

    click.echo(as_yaml(options.read_request(settings, config_path, store).config), nl=False)
