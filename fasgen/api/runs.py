"""A run from Python: what ``fasgen run`` does with the same settings."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from fasgen.commands import options
from fasgen.commands.plan import make_plan
from fasgen.commands.run import draw_sheet, execute, new_run_id
from fasgen.errors import ConfigError
from fasgen.pipeline.outcome import RunResult


def run(
    config: str | PathLike[str] | Mapping[str, Any] | None = None,
    *overrides: str,
    store: str | PathLike[str] | None = None,
    gpus: int | None = None,
    cpus: int | None = None,
    engine: Literal["ray", "local"] = "ray",
    address: str = "",
    only: bool = False,
) -> RunResult:
    """Make what is not there yet; the same bytes, ledger and contact sheet as the command with these arguments.

    Args:
        config: a YAML file, or what one would hold; ``None``: ``fasgen.yaml`` of the current folder where there is one.
        overrides: as on the command line: ``stage=NAME``, ``a.b=c``.
        store: folder of everything that is written; ``None``: the configuration's.
        gpus: single-GPU workers; ``None``: all there are.
        cpus: CPU workers; ``None``: the configuration's.
        engine: where workers live: ``ray``, or ``local`` in this process.
        address: of a Ray cluster to run on: ``HOST``, ``HOST:PORT`` or ``auto``; empty for the one that the environment
            variable ``RAY_ADDRESS`` names, else this machine; ``local`` for this machine.
        only: make the stages that ``stage=`` names alone, without what they are made from.

    Returns:
        how it ended, and its counts. A run whose failures exceed the budget, or that an error stopped, says so in ``outcome``
        and ``error``; what is committed stays, and the same call goes on from there.

    Raises:
        FasgenError: it was refused before it began.
    """
    if engine == "local" and address:
        raise ConfigError(f"address={address!r} needs engine='ray': the local engine has no cluster")
    given = config if config is None or isinstance(config, Mapping) else Path(config)
    request = options.read_request(overrides, given, None if store is None else Path(store), only=only)
    options.mend(request.config.store)
    plan = make_plan(request, options.Workers(gpus, cpus, address, engine))
    run_id = new_run_id(plan.store)
    result = execute(plan, request, engine, run_id)
    draw_sheet(plan, plan.store / "runs" / run_id / "contact-sheet.png")
    return result
