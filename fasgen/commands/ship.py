"""``fasgen ship``: copy a store, or its shards, to another disk or an object store."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fasgen.commands import options
from fasgen.commands.text import duration, plain, size

if TYPE_CHECKING:
    from fasgen.audit.shipping.ship import Shipped

_EVERY = 10.0
"""Seconds between two lines that say how far it is."""


class _Place(click.Path):
    """A path, or an address."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from fasgen.config import place
        from fasgen.errors import ConfigError
        from fasgen.remote.address import scheme_of
        from fasgen.remote.path import RemotePath

        if not isinstance(value, str) or not scheme_of(value):
            return place(value, "TARGET") if isinstance(value, str) else value
        try:
            return RemotePath(value)
        except ValueError as error:
            raise ConfigError(f"TARGET: {error}") from None


@click.command(short_help="Copy a store, or its shards, to another disk or to s3://...")
@click.argument("store", type=options.PATH)
@click.argument("target", type=_Place())
@click.option(
    "--what",
    type=click.Choice(["store", "shards"]),
    default="store",
    show_default=True,
    help="All that is committed, or what trainers read: the current deliveries.",
)
@click.option("--delete", is_flag=True, help="Remove from TARGET files of a store that STORE has not (any more).")
def ship(store: Path, target: Any, what: str, delete: bool) -> int:
    """Copy STORE to TARGET: a folder, or an address such as s3://bucket/prefix (pip install "fasgen[remote]").

    What is there is a whole store at every moment: units come before what names them, which generations are current comes last.
    Every file is compared with the digest that it was committed with. The same command goes on after a break, and later brings
    what has come or changed since; what is there is not sent again. No run works on STORE meanwhile.

    Exit codes: 0 all is there, 2 refused, or something in STORE is damaged and was left out.
    """
    from fasgen.audit.shipping.ship import ship as send
    from fasgen.audit.shipping.target import Folder, Remote

    found = options.find_store(None, store)
    if isinstance(target, Path):
        _apart(found, target.absolute())
    there = Folder(target.absolute()) if isinstance(target, Path) else Remote(target)
    done = send(found, there, shards=what == "shards", delete=delete, told=_Teller())
    kept = f"; {done.kept_files:,} files ({size(done.kept_bytes)}) were there" if done.kept_files else ""
    click.echo(
        f"{there}: sent {done.files:,} files, {size(done.bytes)} ({done.bytes:,} bytes), in {duration(done.seconds)}{kept}"
    )
    for name, why in done.left_out:
        click.echo(f"left out: {name}: {why}")
    if done.removed:
        click.echo(f"removed {done.removed:,} files that the store has not")
    elif done.more:
        click.echo(f"there are {len(done.more):,} more files of a store, for example {done.more[0]}: --delete removes them")
    for one in done.damaged:
        click.echo(f"damaged, not sent: {plain(one.name)}: {plain(one.why)}", err=True)
    if done.damaged:
        click.echo("`fasgen run` makes it again; `fasgen verify` says more", err=True)
    return 2 if done.damaged else 0


class _Teller:
    """Says now and then how far it is."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()

    def __call__(self, done: Shipped) -> None:
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._last = now
            there = f", {size(done.kept_bytes)} were there" if done.kept_bytes else ""
            click.echo(f"{duration(now - self._begun)}: sent {done.files:,} files, {size(done.bytes)}{there}", err=True)


def _apart(store: Path, target: Path) -> None:
    from fasgen.errors import StoreError

    here, there = store.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise StoreError(f"{target}: one of the two lies in the other: name another folder")
