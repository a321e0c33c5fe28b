"""``fasgen retract``: take a person out of the store."""

from __future__ import annotations

from pathlib import Path

import click

from fasgen.commands import options
from fasgen.commands.text import table


@click.command(short_help="Take a person out of the store, in every role.")
@click.option("--subject", metavar="KEY", help="The person, as the column subject has them.")
@click.option("--file", metavar="PATH", help="A file, and all copies of it; or SOURCE/PATH of one that is gone.")
@options.config_options
@click.option("--dry-run", is_flag=True, help="Say what would be written anew and write nothing.")
def retract(subject: str | None, file: str | None, config_path: Path | None, store: Path | None, dry_run: bool) -> None:
    """Write every unit and shard anew that has the person, as content or as somebody's style, and leave a tombstone.

    The others keep every byte. Later runs leave the person's files out, though they may still lie in the sources, under these
    names or, as far as their content could be read by now, under any other. `fasgen verify` checks that nobody is left who was
    taken out. Contact sheets and reports are removed. What has left the store, and weights that were trained on the person, are
    beyond its reach.
    """
    from fasgen.audit.retract import pictures, touched, which, who
    from fasgen.audit.retract import retract as take_out
    from fasgen.manifests.tombstones import Retracted

    found = options.find_store(config_path, store)
    options.mend(found)
    if (subject is None) == (file is None):
        raise click.UsageError("give either --subject KEY or --file PATH")
    known = options.find_config(config_path) is not None
    sources = options.read_request((), config_path, store).config.sources if known else ()
    tombstone = who(found, subject, sources) if subject is not None else which(found, str(file), sources)
    if not tombstone.contents:
        click.echo("note: their files could not be read, so copies of them under other names are not known", err=True)
    units = list(touched(found, Retracted([tombstone])))
    rows = [(one.generation, one.unit, one.rows) for one in units]
    if rows:
        click.echo(table(("generation", "unit", "rows"), rows))
    if dry_run:
        click.echo(f"would write {len(units)} units anew and remove {len(pictures(found))} sheets and reports")
        return
    done = take_out(found, tombstone)
    click.echo(f"wrote {len(units)} units anew; tombstone {found / 'retracted' / (done.subject + '.json')}")
    click.echo("check it with: fasgen verify; copies that were made of the shards must be replaced by the new ones")
