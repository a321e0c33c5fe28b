"""``fasgen attach``: a cue, or reconstructions, that were made elsewhere, taken into a store by name."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fasgen.commands import options
from fasgen.commands.run import ARGUMENTS, Remembering, carry_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fasgen.audit.foreign_files import Matched

_SHOWN = 5


@click.command(cls=Remembering, short_help="Take a cue that was made elsewhere into a store, by name.")
@click.argument("store", type=options.PATH)
@click.argument("name")
@click.argument("given", metavar="[FOLDER|TABLE]", required=False, type=options.PATH)
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--one", type=click.FloatRange(min=0, min_open=True), metavar="NUMBER", help="The stored number that stands for 1."
)
@click.option("--card", default="", metavar="TEXT", help="Sentences for the data card: what it is, and how it is used.")
@click.option("--magnitude", is_flag=True, help="Draw it as a magnitude, 0 in black, and not signed, 0 in grey.")
@click.option("--reconstruction", is_flag=True, help="Files are reconstructions: the cue is the crop less them, in levels.")
@click.option("--remove", is_flag=True, help="Take the cue out again: later runs leave it out.")
@click.option(
    "--config", "config_path", type=options.PATH, metavar="FILE", help="Configuration; ./fasgen.yaml where there is one."
)
@options.worker_options(engine="local")
@click.pass_context
def attach(
    context: click.Context,
    store: Path,
    name: str,
    given: Path | None,
    settings: Sequence[str],
    one: float | None,
    card: str,
    magnitude: bool,
    reconstruction: bool,
    remove: bool,
    config_path: Path | None,
    workers: options.Workers,
) -> int:
    """Attach what lies in FOLDER or TABLE to STORE as the cue NAME: arrays (.npy, H x W x C) or pictures, of the size of the
    crops, called by sample id or as the sources call their files. A table has the columns file, and sample or path.

    The files are compared with the crops, their digests noted, and the cue committed as other stages' are; later runs ship it.
    A photograph without a file is named, and has the reason `no_cue`.
    """
    from fasgen.commands.plan import make_plan
    from fasgen.errors import ConfigError
    from fasgen.stages import FOREIGN
    from fasgen.stages.foreign.config import FOLDER

    place = store.absolute() / FOLDER / name
    if remove:
        if not place.is_dir():
            raise ConfigError(f"{place}: no cue {name!r} was attached to this store")
        shutil.rmtree(place)
        click.echo(f"{name} is taken out: the next run leaves it out, and `fasgen gc` removes what was made of it")
        return 0
    if given is None:
        raise click.UsageError("give the folder or table with the files of the cue")
    _note(store.absolute(), place, name, given.absolute(), one, card, magnitude, reconstruction)
    request = options.read_request([f"stage={FOREIGN}", *settings], config_path, store)
    options.mend(request.config.store)
    plan = make_plan(request, workers)
    context.meta.setdefault(ARGUMENTS, [])
    return carry_out(context, plan, request, workers.engine, sheet=False)


def _note(
    store: Path,
    place: Path,
    name: str,
    given: Path,
    one: float | None,
    card: str,
    magnitude: bool,
    reconstruction: bool,
) -> None:
    """Compare the files with the crops, and note them in the store; what was noted before is replaced.

    Raises:
        ConfigError: the name cannot be a cue's, or another stage's cue has it; or it is not said which number stands for 1.
        SourceError: files are of no photograph, or do not fit.
    """
    import hashlib
    import json

    from fasgen.audit.foreign_files import match
    from fasgen.errors import ConfigError, SourceError
    from fasgen.manifests.atomic import write_atomic
    from fasgen.seen import NAME
    from fasgen.stages import FOREIGN, specs
    from fasgen.stages.foreign.config import FILES, ORIGIN, ROOT, Origin, digest_of
    from fasgen.stages.foreign.reading import ARRAYS, PICTURES
    from fasgen.stages.stage import Cue

    taken = {cue.name: stage for stage, spec in specs().items() if stage != FOREIGN for cue in spec.cues}
    if name in taken:
        raise ConfigError(f"{name}: is the cue of {taken[name]}: give yours another name")
    found = match(store, given, ARRAYS | PICTURES)
    side = _side(store)
    listed: dict[str, list[str]] = {}
    root = given if given.is_dir() else given.parent
    first: NDArray[Any] | None = None
    for sample, file in found.files.items():
        try:
            data = file.read_bytes()
            array = _checked(data, file, side, reconstruction, first)
        except OSError as error:
            raise SourceError(f"{file}: cannot be read ({error.strerror})") from None
        except ValueError as error:
            raise SourceError(f"{file}: {error}: mend it, or take it out") from None
        first = array if first is None else first
        listed[sample] = [file.relative_to(root).as_posix(), hashlib.sha256(data).hexdigest()]
    if first is None:
        raise SourceError(f"{given}: has no file of a photograph")
    if not reconstruction and one is None and first.dtype.kind != "u":
        raise ConfigError(f"{name}: say by --one which number of {first.dtype} stands for 1")
    full = one or (127.5 if reconstruction else float(2 ** (8 * first.dtype.itemsize) - 1))
    doc = f"made elsewhere, H x W x {first.shape[2]}" + (
        ", crop - reconstruction, signed 8-bit levels" if reconstruction else ""
    )
    origin = Origin(
        name,
        doc,
        full,
        card or f"`{name}` was made elsewhere and attached by name.",
        "magnitude" if magnitude else "signed",
        f"{name}_reconstruction" if reconstruction else "",
        "int16" if reconstruction else first.dtype.name,
        side,
        digest_of(listed),
        len(listed),
    )
    try:
        Cue(origin.name, origin.dtype, origin.doc, origin.one, origin.card, origin.drawn, origin.leaves)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    write_atomic(place / FILES, json.dumps(listed, sort_keys=True).encode())
    write_atomic(place / ROOT, f"{root}\n".encode("utf-8", "surrogateescape"))
    if (root / NAME).is_file():
        write_atomic(place / NAME, (root / NAME).read_bytes())
    write_atomic(place / ORIGIN, origin.encode())
    _say(name, found)


def _checked(data: bytes, file: Path, side: int, reconstruction: bool, first: NDArray[Any] | None) -> NDArray[Any]:
    from fasgen.stages.foreign.reading import fit, read_array

    array = read_array(data, file.suffix)
    fit(array, side, reconstruction=reconstruction)
    if first is not None and (array.dtype, array.shape) != (first.dtype, first.shape):
        raise ValueError(f"is {array.dtype} {array.shape}, others are {first.dtype} {first.shape}")
    return array


def _side(store: Path) -> int:
    """Side of the store's crops, px."""
    from fasgen.errors import StoreError
    from fasgen.manifests.plan_file import read_plan
    from fasgen.manifests.products import cutter

    made = cutter(store)
    size = read_plan(made.folder).get("config", {}).get("size") if made else None
    if not isinstance(size, int):
        raise StoreError(f"{store}: does not say how large its crops are: fasgen run stage=align")
    return size


def _say(name: str, found: Matched) -> None:
    without, strangers = found.without, found.strangers
    click.echo(f"{name}: {len(found.files)} photographs have a file", err=True)
    if without:
        named = ", ".join(f"{where} ({sample})" for sample, where in list(without.items())[:_SHOWN])
        more = f" and {len(without) - _SHOWN} more" if len(without) > _SHOWN else ""
        click.echo(f"note: {len(without)} photographs have none: {named}{more}", err=True)
    if strangers:
        more = f" and {len(strangers) - _SHOWN} more" if len(strangers) > _SHOWN else ""
        click.echo(
            f"note: {len(strangers)} files are of no photograph: {', '.join(map(str, strangers[:_SHOWN]))}{more}", err=True
        )
