"""``fasgen gc``: remove what nothing current needs."""

from __future__ import annotations

from pathlib import Path

import click

from fasgen.commands import options
from fasgen.commands.text import size, table


@click.command(short_help="Show, or remove, generations that nothing current needs.")
@options.config_options
@click.option("--delete", is_flag=True, help="Remove them; without it, nothing is changed.")
def gc(config_path: Path | None, store: Path | None, delete: bool) -> None:
    """Show every generation that is neither current nor read by one that is, and what its removal frees.

    `fasgen status` shows what is current: of every stage, the generation of the last run that made or read it. What is removed
    is made again by a run with its settings.
    """
    from fasgen.audit.garbage import remove, unneeded

    found = options.find_store(config_path, store)
    options.mend(found)
    garbage = unneeded(found)
    total = sum(one.bytes for one in garbage)
    if not garbage:
        click.echo("nothing to remove: everything is current, or needed by what is")
        return
    click.echo(table(("generation", "bytes"), [(one.folder.name, size(one.bytes)) for one in garbage]))
    if delete:
        remove(found, garbage)
        click.echo(f"removed {len(garbage)} generations, {size(total)} ({total:,} bytes)")
    else:
        click.echo(f"would remove {len(garbage)} generations, {size(total)} ({total:,} bytes): give --delete")
