"""Settings that stages share, what follows from them, and trees of settings. Importing this imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from fasgen.records import Reason
from fasgen.stages.stage import StageConfig

AUTO_BATCH = 16
"""Faces a call where nothing was measured: what two CPU cores like."""


def _in_range(value: int | str) -> int | str:
    if isinstance(value, int) and not 1 <= value <= 1024:
        raise ValueError(f"{value} is not within 1 to 1024")
    return value


Batch = Annotated[int | Literal["auto"], AfterValidator(_in_range)]
"""Faces a call, or ``auto``."""


def batch_size(config: Any) -> int:
    """Faces a call, of a configuration with a :data:`Batch`."""
    return AUTO_BATCH if config.batch == "auto" else int(config.batch)


class Selected(StageConfig):
    """Base of the configuration of a stage that takes some of its rows only."""

    where: str | None = Field(
        None,
        description="an SQL expression that rows must pass, as `fasgen show` has it, over the columns of what the stage reads",
    )
    protocol: str | None = Field(
        None,
        description="a protocol, or one fold of one, NAME/FOLD, whose rows are taken, as `fasgen protocol` wrote them into the "
        "store; nothing above is listed or made anew for it",
    )
    rows: str | None = Field(
        None, description="digest of the rows of that protocol, which is found when a run is planned; stays null"
    )


CHOICE = frozenset(Selected.model_fields)
"""The settings by which rows are chosen."""


def few_rows(stage: str) -> dict[Reason | None, str]:
    """What to do where a stage kept little, since its settings choose few rows."""
    return {Reason.NOT_SELECTED: f"{stage}.where and {stage}.protocol choose few rows"}


def wrong_size(sides: tuple[int, int], trained: int | None, stage: str, key: str, config: Any) -> str:
    """Why crops are not of the size that a network was trained on; empty where they are, or where any will do.

    Args:
        sides: height and width of the crops, px.
        trained: side of the crops that it was trained on, px; ``None`` where it takes any.
        stage: name of the stage.
        key: name of the setting that says the network's weights.
        config: the stage's configuration, with ``any_size``.
    """
    if config.any_size or trained is None or sides == (trained, trained):
        return ""
    return (
        f"{stage}: the crops are {sides[1]} x {sides[0]} px (align.size) but the network in {getattr(config, key)} was trained "
        f"on {trained}; set align.size={trained}, give other {stage}.{key}, or allow it with {stage}.any_size=true"
    )


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay ``above`` over ``below``: mappings merge, everything else (lists too) is replaced."""
    out = dict(below)
    for key, value in above.items():
        old = out.get(key)
        out[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return out
