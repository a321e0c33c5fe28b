"""The root of the configuration, put together from the stages and trainings that exist."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator

from fasgen.errors import ConfigError
from fasgen.sources.config import SourceConfig
from fasgen.stages import specs
from fasgen.stages.stage import StageConfig
from fasgen.training.config import LoopConfig, trainings


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BudgetConfig(_Frozen):
    """How many samples may fail in a stage before a run stops. Filtered samples never count."""

    max_failed: int | None = Field(
        default=None, ge=0, description="failed samples allowed in a stage, earlier runs included; null for no such limit"
    )
    max_failed_rate: float = Field(
        default=0.05, ge=0.0, le=1.0, description="failed samples allowed in a stage, as a share of its planned ones"
    )


class Config(_Frozen):
    """What every configuration has. `root_model` adds one key a stage, and one a training under ``train``."""

    store: Path = Field(Path("store"), description="folder of everything that is written")
    sources: tuple[SourceConfig, ...] = Field((), description="folders to read: a path, or a list of sources")
    preset: str = Field("embedded", description="named settings to start from: embedded, agfas, difffas, lgsc, stdn or dlif")
    seed: int = Field(
        0, ge=0, lt=2**63, description="seed of the run; every sample's seed is drawn from it and the sample's id"
    )
    unit_rows: int | None = Field(
        None,
        ge=1,
        le=65536,
        description="rows a unit: the grain of work, retry and resume; null: what the store was begun with, else 16 to 256, so "
        "many that there are sixteen units or more for workers to share. Set it where a store shall grow large from a few rows",
    )
    workers: int | None = Field(None, ge=1, description="CPU workers; null for one a free core")
    threads: int = Field(1, ge=1, le=256, description="threads a worker computes with; part of the determinism domain")
    budget: BudgetConfig = Field(BudgetConfig(), description="failures allowed before a run stops and counts as failed")
    time_limit: float | None = Field(
        300.0,
        ge=0.05,
        description="seconds that a sample may take to be read, or its share of a stage's call; then its worker is ended, and "
        "the sample found and failed; null for no limit",
    )

    @field_validator("sources")
    @classmethod
    def _names(cls, sources: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        twice = [name for name, count in Counter(source.name for source in sources).items() if count > 1]
        if twice:
            raise ValueError(f"two sources are called {twice[0]!r}; give each its own `name`")
        return sources

    def stage(self, name: str) -> StageConfig:
        """Configuration of stage ``name``."""
        config = getattr(self, name)
        if not isinstance(config, StageConfig):
            raise ConfigError(f"{name!r} is not a stage")
        return config

    def training(self, name: str) -> LoopConfig:
        """Configuration of training ``name``."""
        config: LoopConfig = getattr(getattr(self, "train", None), name)
        return config


def root_model() -> type[Config]:
    """The model of the whole configuration for the stages and trainings that exist now."""
    own = specs()
    stages = {name: spec.config for name, spec in own.items()}
    summaries = {name: spec.summary for name, spec in own.items()}
    return _build(
        tuple(stages.items()), tuple(summaries.items()), tuple((n, s.config, s.summary) for n, s in trainings().items())
    )


@cache
def _build(
    stages: tuple[tuple[str, type[StageConfig]], ...],
    summaries: tuple[tuple[str, str], ...],
    trainings: tuple[tuple[str, type[BaseModel], str], ...],
) -> type[Config]:
    taken = sorted({name for name, _ in stages} & {*Config.model_fields, "train"})
    if taken:
        raise ConfigError(f"a stage cannot be called {taken[0]!r}: the configuration has a key of that name")
    about = dict(summaries)
    fields: dict[str, Any] = {n: (c, Field(default_factory=c, description=about[n])) for n, c in stages}
    if trainings:
        inner: dict[str, Any] = {n: (c, Field(default_factory=c, description=summary)) for n, c, summary in trainings}
        train = create_model("Train", __base__=_Frozen, __doc__="One key a training.", **inner)
        fields["train"] = (train, Field(default_factory=train, description="what `fasgen train NAME` does"))
    return create_model("Config", __base__=Config, **fields)
