"""From scores to figures: protocol, level and threshold policy applied, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fasgen.downstream import metrics
from fasgen.downstream.metrics import Floats
from fasgen.downstream.scores import Score, ScoreTable
from fasgen.errors import ConfigError

Level = Literal["frame", "video"]
Policy = Literal["dev-eer", "target-eer", "fixed"]

FIGURES = ("auc", "eer", "hter", "apcer", "bpcer", "acer", "tpr_at_fpr", "tdr_at_fdr")


@dataclass(frozen=True, slots=True)
class Settings:
    """How scores are turned into figures.

    Attributes:
        level: ``video`` scores a video by the mean over its frames.
        policy: where the threshold comes from: the EER of the ``dev`` rows, that of the tested rows themselves, or ``fixed``.
        threshold: the fixed one.
        fpr: share of spoof samples passed at which TPR, the share of live ones passed, is read.
        fdr: share of live samples taken for spoofs at which TDR, the share of spoofs detected, is read.
        bootstrap: replicates of the intervals; 0 for none.
        confidence: of the intervals.
        seed: of the bootstrap.

    Raises:
        ConfigError: a setting is out of range.
    """

    level: Level = "video"
    policy: Policy = "target-eer"
    threshold: float | None = None
    fpr: float = 0.005
    fdr: float = 0.005
    bootstrap: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.level not in get_args(Level) or self.policy not in get_args(Policy):
            raise ConfigError(f"level {self.level!r} or policy {self.policy!r} is unknown; see `fasgen eval --help`")
        if (self.policy == "fixed") != (self.threshold is not None):
            raise ConfigError("a threshold is given with the policy fixed, and only with it")
        if not all(0 < share < 1 for share in (self.fpr, self.fdr, self.confidence)) or self.bootstrap < 0:
            raise ConfigError("fpr, fdr and confidence must lie between 0 and 1, bootstrap must be at least 0")

    def words(self) -> str:
        """Level and threshold policy in words, as every table states them."""
        level = {"frame": "frame level", "video": "video level, mean score of a video's frames"}[self.level]
        policy = {
            "dev-eer": "threshold at the EER of the dev rows",
            "target-eer": "threshold at the EER of the tested rows themselves (optimistic)",
            "fixed": f"threshold fixed at {self.threshold:g}" if self.threshold is not None else "",
        }[self.policy]
        return f"{level}; {policy}"

    def interval_words(self) -> str:
        """What the intervals are."""
        if not self.bootstrap:
            return "no intervals"
        held = "" if self.policy == "target-eer" else ", the threshold held"
        return (
            f"{self.confidence:.0%} intervals by percentile bootstrap, {self.bootstrap} draws of whole videos, or stills, "
            f"within each class"
            f"{held}, seed {self.seed}"
        )


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one experiment.

    Attributes:
        method, protocol, seed: which experiment.
        settings: how it was evaluated.
        live, spoof: numbers of scored units, videos or frames by the level.
        threshold: at which the errors are read.
        values: `FIGURES` by name, in [0, 1].
        apcer_of: attack type to APCER.
        intervals: of the figures and, as ``apcer:TYPE``, of each attack type.
    """

    method: str
    protocol: str
    seed: str
    settings: Settings
    live: int
    spoof: int
    threshold: float
    values: Mapping[str, float]
    apcer_of: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Scored:
    """Units that are scored: videos or frames."""

    labels: NDArray[np.int64]
    scores: Floats
    attacks: NDArray[np.str_]
    clusters: NDArray[np.str_]

    @staticmethod
    def of(table: ScoreTable, level: Level) -> Scored:
        """The units of ``table`` at ``level``."""
        if level == "frame":
            return Scored(table.labels, table.scores, table.attacks, table.videos)
        labels, scores, first = metrics.video_means(table.videos, table.labels, table.scores)
        return Scored(labels, scores, table.attacks[first], table.videos[first])


def tested(table: ScoreTable) -> ScoreTable:
    """The rows that are tested: all but train and dev.

    Raises:
        ConfigError: there are none.
    """
    rows = table.without("train", "dev")
    if not len(rows):
        raise ConfigError("no rows to test: every row has the split train or dev")
    return rows


def threshold_of(table: ScoreTable, settings: Settings) -> float:
    """The threshold that the policy gives.

    Raises:
        ConfigError: the policy needs dev rows of both classes, and they are not there.
    """
    if settings.policy == "fixed" and settings.threshold is not None:
        return settings.threshold
    if settings.policy == "target-eer":
        units = Scored.of(tested(table), settings.level)
        return metrics.eer_threshold(metrics.roc(units.labels, units.scores))
    dev = table.where(split="dev")
    if set(dev.labels.tolist()) != {0, 1}:
        raise ConfigError(
            "the policy dev-eer needs live and spoof rows with the split dev; take target-eer or a fixed threshold"
        )
    units = Scored.of(dev, settings.level)
    return metrics.eer_threshold(metrics.roc(units.labels, units.scores))


@dataclass(frozen=True, slots=True)
class Trial:
    """The scores of one experiment: one method under one protocol with one seed."""

    method: str
    protocol: str
    seed: str
    table: ScoreTable


def trials(table: ScoreTable, method: str = "", protocol: str = "") -> list[Trial]:
    """One trial for each method, protocol and seed that the rows name.

    Args:
        table: rows of one or many experiments.
        method: name for rows without one.
        protocol: name for rows without one; empty names the data sets that are tested.
    """
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for row in table.rows:
        groups.setdefault((row.method, row.protocol, row.seed), []).append(row)
    out = []
    for (own_method, own_protocol, seed), members in groups.items():
        rows = ScoreTable(members)
        name = own_protocol or protocol or "test on " + (", ".join(filter(None, tested(rows).values("dataset"))) or "all rows")
        out.append(Trial(own_method or method or "scores", name, seed, rows))
    return out


def evaluate(trial: Trial, settings: Settings) -> Evaluation:
    """All figures of one trial; at frame level where no row is of a video.

    Where a class is missing, what needs it is NaN.

    Raises:
        ConfigError: there is nothing to test, a video mixes classes, or the policy lacks its rows.
    """
    if settings.level == "video" and not any(row.video for row in trial.table.rows):
        settings = replace(settings, level="frame")
    threshold = threshold_of(trial.table, settings)
    units = Scored.of(tested(trial.table), settings.level)
    ranking = metrics.Ranking(units.labels, units.scores)

    def figures(weights: Floats | None = None) -> dict[str, float]:
        points = ranking.roc(weights)
        at = metrics.eer_threshold(points) if settings.policy == "target-eer" else threshold
        errors = metrics.rates(units.labels, units.scores, at, units.attacks, weights)
        return {
            "auc": metrics.auc(points),
            "eer": metrics.eer(points),
            "hter": errors.hter,
            "apcer": errors.apcer,
            "bpcer": errors.bpcer,
            "acer": errors.acer,
            "tpr_at_fpr": metrics.tpr_at_fpr(points, settings.fpr),
            "tdr_at_fdr": metrics.tdr_at_fdr(points, settings.fdr),
            **{f"apcer:{kind}": rate for kind, rate in errors.apcer_of.items()},
        }

    values = figures()
    replicates = [figures(w) for w in metrics.draws(units.labels, units.clusters, settings.bootstrap, settings.seed)]
    intervals = {
        name: metrics.interval([one[name] for one in replicates], settings.confidence) for name in values if replicates
    }
    live = int(units.labels.sum())
    return Evaluation(
        trial.method,
        trial.protocol,
        trial.seed,
        settings,
        live,
        len(units.labels) - live,
        threshold,
        {name: values[name] for name in FIGURES},
        {name.partition(":")[2]: value for name, value in values.items() if name.startswith("apcer:")},
        intervals,
    )
