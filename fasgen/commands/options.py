"""Options that several commands share, and from them the configuration."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

if TYPE_CHECKING:
    from fasgen.config import Config

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_CONFIG = Path("fasgen.yaml")
"""The configuration that is read where none is named."""


class _Path(click.Path):
    """A path, with ``~`` understood as in a configuration, and what is none refused."""

    def __init__(self, **checks: bool) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from fasgen.config import place

        if isinstance(value, str):
            called = param.human_readable_name if param else ""
            value = place(value, called, is_store=called == "store")
            # As text, ./~x would be ~x again, which is somebody's home.
            value = Path.cwd() / value if str(value).startswith("~") else value
        return super().convert(value, param, ctx)


PATH, FILE, FOLDER = _Path(), _Path(dir_okay=False), _Path(file_okay=False)
"""Types of arguments that are paths: of whatever, and of what is to be written and is not yet there as the other."""


def settings(command: F) -> F:
    """The trailing ``key=value`` arguments."""
    return click.argument("settings", nargs=-1, metavar="[stage=NAME] [KEY=VALUE]...")(command)


def config_options(command: F) -> F:
    """``--config`` and ``--store``."""
    command = click.option("--store", type=PATH, metavar="DIR", help="Folder of everything that is written.")(command)
    return click.option(
        "--config", "config_path", type=PATH, metavar="FILE", help="Configuration; ./fasgen.yaml where there is one."
    )(command)


HERE = "local"
"""The address that means this machine, whatever ``RAY_ADDRESS`` says."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Who shall work, and where.

    Attributes:
        gpus: single-GPU workers; all there are if ``None``.
        cpus: CPU workers; the configuration's if ``None``.
        address: of a Ray cluster; empty for the one that ``RAY_ADDRESS`` names, else this machine; `HERE` for this machine.
        engine: ``ray``, or ``local`` for this process.
    """

    gpus: int | None = None
    cpus: int | None = None
    address: str = ""
    engine: Literal["ray", "local"] = "ray"

    def __post_init__(self) -> None:
        """Refuse an engine that cannot be where it is asked to be."""
        if self.engine == "local" and self.address not in {"", HERE}:
            raise click.UsageError("--address needs --engine ray: the local engine has no cluster")

    @property
    def place(self) -> str:
        """The address, of which the local engine has none."""
        return self.address if self.engine == "ray" else HERE


def worker_options(*, engine: Literal["ray", "local"] | None = None) -> Callable[[F], F]:
    """``--gpus``, ``--cpus`` and ``--address``, and ``--engine`` where its default is given: the command takes them as
    `Workers`."""
    names = ("gpus", "cpus", "address", *(("engine",) if engine else ()))
    count = click.IntRange(min=0)
    options = [
        click.option("--gpus", type=count, metavar="N", help="Single-GPU workers; 0 for none. All there are."),
        click.option("--cpus", type=count, metavar="N", help="CPU workers."),
        click.option(
            "--address",
            metavar="HOST[:PORT]",
            default="",
            help="Run on the Ray cluster at this address, or auto; RAY_ADDRESS counts as well, local refuses it.",
        ),
    ]
    if engine:
        kinds = click.Choice(["ray", "local"])
        options.append(click.option("--engine", type=kinds, default=engine, show_default=True, help="Where workers live."))

    def decorate(command: F) -> F:
        @wraps(command)
        def gathered(*arguments: Any, **given: Any) -> Any:
            return command(*arguments, workers=Workers(**{name: given.pop(name) for name in names}), **given)

        taken = cast(F, gathered)
        for option in reversed(options):
            taken = option(taken)
        return taken

    return decorate


def only_option(command: F) -> F:
    """``--only``."""
    return click.option("--only", is_flag=True, help="Of stage=NAME that stage alone, not what it is made from.")(command)


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for.

    Attributes:
        stages: stages to make, or ``("all",)``.
        config: the resolved configuration; ``store`` in it is where to write.
        only: make these stages alone, without what they are made from.
    """

    stages: tuple[str, ...]
    config: Config
    only: bool = False


def read_request(
    given: Sequence[str], config: Path | Mapping[str, Any] | None, store: Path | None, *, only: bool = False
) -> Request:
    """Take ``stage=...`` out of the settings and resolve the rest; ``config`` is a file, or what one would hold.

    Raises:
        ConfigError: a setting, the file or a stage's name is wrong.
    """
    from fasgen.config import load

    stages: tuple[str, ...] = ("all",)
    overrides = []
    for setting in given:
        if names_stages(setting):
            stages = _stages(setting.partition("=")[2])
        else:
            _refuse_bare_stage(setting)
            overrides.append(setting)
    if store is not None:
        overrides.append(f"store={_quoted(str(store))}")
    found = config if isinstance(config, Mapping) else find_config(config)
    return Request(stages, load(found, overrides, _needed(stages, only)), only)


def _needed(stages: Collection[str], only: bool) -> set[str] | None:
    """Stages that the named ones are made from, and themselves; None where all may be, as what gathers cues takes any."""
    from fasgen.stages import specs
    from fasgen.stages.stage import PICTURE

    own = specs()
    if any(name not in own or own[name].gathers for name in stages):
        return None
    cutters = {name for name, spec in own.items() if spec.picture and spec.roster is None}
    needed, left = set(stages), list(stages)
    while left and not only:
        above = {one for read in own[left.pop()].reads for one in (cutters if read.stage == PICTURE else {read.stage})}
        left += sorted(above - needed)
        needed |= above
    return needed


def names_stages(setting: str) -> bool:
    """Whether an argument is ``stage=...``."""
    return setting.startswith(("stage=", "stages="))


def find_config(path: Path | None) -> Path | None:
    """The named file, else ``fasgen.yaml`` of the current folder, else none."""
    if path is not None:
        return path
    return DEFAULT_CONFIG if DEFAULT_CONFIG.exists() else None


def mend(store: Path) -> None:
    """Put back files of a store that are not what their spares say, and say which, before anything is made of them.

    Raises:
        StoreError: another driver works on the store, or it cannot be written.
    """
    from fasgen.errors import StoreError
    from fasgen.manifests import spare
    from fasgen.manifests.lock import StoreLock

    try:
        if next(spare.spoilt(store), None) is None and next(spare.worn(store), None) is None:
            return
        with StoreLock(store):
            for path in spare.mend(store):
                click.echo(f"note: {path} was damaged or missing, and is mended", err=True)
    except OSError as error:
        raise StoreError(f"{store}: cannot be mended ({error.strerror}): free space, or mend its permissions") from error


def find_store(config_path: Path | None, store: Path | None) -> Path:
    """The store to read.

    Raises:
        StoreError: there is none.
    """
    from fasgen.errors import StoreError

    found = store.absolute() if store else read_request((), config_path, None).config.store
    if not found.is_dir():
        raise StoreError(f"{found}: there is no store here; name it with --store, or make it with: fasgen run")
    return found


def _stages(value: str) -> tuple[str, ...]:
    from fasgen.config import nearest
    from fasgen.errors import ConfigError

    known = _known()
    names = tuple(dict.fromkeys(name.strip() for name in value.strip("[]").split(",") if name.strip()))
    for name in names:
        if name not in known and name != "all":
            guess = nearest(name, [*known, "all"])
            hint = f"; did you mean stage={guess}?" if guess else "."
            raise ConfigError(f"there is no stage {name!r}{hint} Stages: {', '.join(known)}, or all")
    if not names:
        raise ConfigError(f"stage= names no stage. Stages: {', '.join(known)}, or all")
    return ("all",) if "all" in names else names


def _known() -> list[str]:
    """All that ``stage=`` may name."""
    from fasgen.pipeline.wiring import Lanes
    from fasgen.stages import specs

    return list(Lanes(specs()).makes)


def _refuse_bare_stage(setting: str) -> None:
    from fasgen.errors import ConfigError

    if setting in {*_known(), "all"}:
        raise ConfigError(f"{setting!r} is not a setting; did you mean stage={setting}?")


def _quoted(text: str) -> str:
    """``text`` as a YAML value that is text whatever it looks like."""
    return "'" + text.replace("'", "''") + "'"
