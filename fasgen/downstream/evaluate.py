"""From scores to figures, always in two readings: *realistic* and *idealised*.

Realistic is what a user gets who has no label of the target: threshold and step of the training come from samples of
the trained side that were held out (dev). Idealised is the habit of the field's public trainers: the threshold at the
target's own EER, and the step that does best on the target. The difference of the two is what the habit is worth.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fasgen.downstream import metrics
from fasgen.downstream.intervals import Interval, clopper_pearson, mean_of_two, score_interval_of_auc
from fasgen.downstream.metrics import Floats
from fasgen.downstream.scores import Score, ScoreTable
from fasgen.errors import ConfigError

Level = Literal["frame", "video"]
Policy = Literal["dev-eer", "dev-bpcer"]

FIGURES = ("auc", "eer", "hter", "apcer", "bpcer", "acer", "tpr_at_fpr", "tdr_at_fdr")
SWEPT = ("auc", "eer", "tpr_at_fpr", "tdr_at_fdr")
"""Figures of all thresholds, or of one that the tested samples themselves give: their intervals are a bootstrap's."""
FEW = 50
"""Units of a class below which a figure is said to rest on few."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How scores are turned into figures.

    Attributes:
        level: ``video`` scores a video by the mean over its frames.
        threshold: of the realistic reading: at the EER of the ``dev`` rows, where at most ``bpcer`` of their live ones are
            rejected, or a number.
        bpcer: of ``dev-bpcer``.
        shared: one threshold for all folds of a protocol, from all their dev rows together; else each fold has its own.
        fpr: share of spoof samples passed at which TPR, the share of live ones passed, is read.
        fdr: share of live samples taken for spoofs at which TDR, the share of spoofs detected, is read.
        bootstrap: replicates of the intervals that are drawn; 0 for none of those.
        confidence: of the intervals.
        seed: of the bootstrap.

    Raises:
        ConfigError: a setting is out of range.
    """

    level: Level = "video"
    threshold: Policy | float = "dev-eer"
    bpcer: float = 0.01
    shared: bool = False
    fpr: float = 0.005
    fdr: float = 0.005
    bootstrap: int = 1000
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        known = self.threshold in get_args(Policy) if isinstance(self.threshold, str) else math.isfinite(self.threshold)
        if self.level not in get_args(Level) or not known:
            raise ConfigError(f"level {self.level!r} or threshold {self.threshold!r} is unknown; see `fasgen eval --help`")
        if not all(0 < share < 1 for share in (self.bpcer, self.fpr, self.fdr, self.confidence)) or self.bootstrap < 0:
            raise ConfigError("bpcer, fpr, fdr and confidence must lie between 0 and 1, bootstrap must be at least 0")

    def words(self) -> str:
        """Level and both readings in words, as every table states them."""
        level = {"frame": "frame level", "video": "video level, mean score of a video's frames"}[self.level]
        over = "of all folds together" if self.shared else "of each fold"
        at = {
            "dev-eer": f"threshold at the EER of the dev rows {over}",
            "dev-bpcer": f"threshold at BPCER {self.bpcer:.3g} of the dev rows {over}",
        }.get(str(self.threshold), f"threshold fixed at {self.threshold}")
        return (
            f"{level}; realistic: {at}, step that is best on dev, or the last; idealised: threshold at the EER of the tested "
            f"rows themselves, step that is best on them"
        )

    def interval_words(self) -> str:
        """What the intervals are."""
        drawn = (
            f"of AUC, EER, TPR and TDR by percentile bootstrap, {self.bootstrap} draws of whole people within each class, seed "
            f"{self.seed} (of an AUC of 1 by Newcombe's method 5)"
            if self.bootstrap
            else "none of AUC, EER, TPR and TDR"
        )
        return (
            f"{self.confidence:.0%} intervals of the realistic figures: of APCER and BPCER after Clopper and Pearson, people "
            f"as trials (videos where people are unknown, then stills), the threshold held; of HTER and ACER from both "
            f"(MOVER); {drawn}"
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """Units that are scored: videos or frames.

    Attributes:
        labels, scores: (N,).
        attacks: (N,), attack type; empty where unknown and of live ones.
        people: (N,), who is seen; what is drawn as a whole and counts as a trial.
    """

    labels: NDArray[np.int64]
    scores: Floats
    attacks: NDArray[np.str_]
    people: NDArray[np.str_]

    @staticmethod
    def of(table: ScoreTable, level: Level) -> Scored:
        """The units of ``table`` at ``level``."""
        if level == "frame":
            return Scored(table.labels, table.scores, table.attacks, table.people)
        labels, scores, first = metrics.video_means(table.videos, table.labels, table.scores)
        return Scored(labels, scores, table.attacks[first], table.people[first])

    def both(self) -> bool:
        """Whether there are live and spoof ones."""
        return set(self.labels.tolist()) == {0, 1}


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures at one step and one threshold.

    Attributes:
        step: of the training; empty where there is one score a sample.
        threshold: at which the errors are read; NaN where none is known, and the errors with it.
        values: `FIGURES` by name, in [0, 1].
        apcer_of: attack type to APCER.
        units: what was scored.
    """

    step: str
    threshold: float
    values: Mapping[str, float]
    apcer_of: Mapping[str, float]
    units: Scored = field(repr=False)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one experiment.

    Attributes:
        method, protocol, seed: which experiment.
        settings: how it was evaluated.
        live, spoof: numbers of scored units, videos or frames by the level.
        realistic, idealised: the readings.
        intervals: of the realistic figures and, as ``apcer:TYPE``, of each attack type.
        notes: what must be known to read the figures, a sentence each.
    """

    method: str
    protocol: str
    seed: str
    settings: Settings
    live: int
    spoof: int
    realistic: Reading
    idealised: Reading
    intervals: Mapping[str, Interval]
    notes: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """What the folds of its protocol are called together; empty where it has none."""
        return family_of(self.protocol)


_FAMILIES = ((r"(.+)/.+", r"\1"), (r"leave out .+", "leave one out"), (r"fold \d+ of (\d+)", r"\1 folds"))


def family_of(protocol: str) -> str:
    """Of a fold, ``NAME/FOLD`` or one that an experiment cut, the name of all of them; else nothing."""
    for pattern, name in _FAMILIES:
        if found := re.fullmatch(pattern, protocol):
            return found.expand(name)
    return ""


def tested(table: ScoreTable) -> ScoreTable:
    """The rows that are tested: all but train and dev.

    Raises:
        ConfigError: there are none.
    """
    rows = table.without("train", "dev")
    if not len(rows):
        raise ConfigError("no rows to test: every row has the split train or dev")
    return rows


@dataclass(frozen=True, slots=True)
class Trial:
    """The scores of one experiment: one method under one protocol with one seed, at one step or several."""

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


def evaluate_all(found: Sequence[Trial], settings: Settings) -> list[Evaluation]:
    """`evaluate` of each, with one threshold for the folds of a method and seed where ``settings`` ask for it.

    Raises:
        ConfigError: as of `evaluate`.
    """
    looks = [_Looks(trial, settings) for trial in found]
    groups: dict[tuple[str, str, str], list[_Looks]] = {}
    for look in looks:
        groups.setdefault((look.trial.method, family_of(look.trial.protocol), look.trial.seed), []).append(look)
    shared = {
        id(look): _threshold([one.dev() for one in members], settings)
        for members in groups.values()
        if settings.shared
        for look in members
    }
    return [_evaluate(look, shared.get(id(look), math.nan) if settings.shared else None) for look in looks]


def evaluate(trial: Trial, settings: Settings) -> Evaluation:
    """All figures of one trial; at frame level where no row is of a video.

    Where a class is missing, what needs it is NaN; so is what needs a threshold where there is none without the target.

    Raises:
        ConfigError: there is nothing to test, or a video mixes classes.
    """
    return evaluate_all([trial], settings)[0]


class _Looks:
    """A trial by step: its dev and tested units, and the steps that either would choose."""

    def __init__(self, trial: Trial, settings: Settings) -> None:
        if settings.level == "video" and not any(row.video for row in trial.table.rows):
            settings = replace(settings, level="frame")
        self.trial, self.settings = trial, settings
        tables = {step: ScoreTable(rows) for step, rows in _by_step(trial.table).items()}
        self.tested = {step: Scored.of(tested(table), settings.level) for step, table in tables.items()}
        self._dev = {
            step: Scored.of(dev, settings.level) for step, table in tables.items() if len(dev := table.where(split="dev"))
        }
        self.realistic = best_step(self._dev) if len(self._dev) == len(tables) else list(tables)[-1]
        self.idealised = best_step(self.tested)

    def dev(self) -> Scored | None:
        """The dev units at the step of the realistic reading; None without any."""
        return self._dev.get(self.realistic)


def _by_step(table: ScoreTable) -> dict[str, list[Score]]:
    """Rows by step, steps ascending."""
    out: dict[str, list[Score]] = {}
    for row in table.rows:
        out.setdefault(row.step, []).append(row)
    return {step: out[step] for step in sorted(out, key=lambda step: int(step or 0))}


def best_step(by_step: Mapping[str, Scored]) -> str:
    """The step of the least EER, of several that of the largest AUC, of several the last; without both classes, the last."""
    steps = list(by_step)

    def worth(step: str) -> tuple[float, float, int]:
        units = by_step[step]
        if len(steps) == 1 or not units.both():
            return (0.0, 0.0, steps.index(step))
        points = metrics.roc(units.labels, units.scores)
        return (-metrics.eer(points), metrics.auc(points), steps.index(step))

    return max(steps, key=worth)


def _threshold(devs: Sequence[Scored | None], settings: Settings) -> float:
    """The realistic threshold; NaN where the dev units that it needs are not there."""
    if not isinstance(settings.threshold, str):
        return settings.threshold
    there = [dev for dev in devs if dev is not None]
    if not there:
        return math.nan
    points = metrics.roc(np.concatenate([dev.labels for dev in there]), np.concatenate([dev.scores for dev in there]))
    if settings.threshold == "dev-bpcer":
        return metrics.bpcer_threshold(points, settings.bpcer)
    return metrics.eer_threshold(points)


def _evaluate(look: _Looks, shared: float | None) -> Evaluation:
    trial, settings = look.trial, look.settings
    dev, units = look.dev(), look.tested[look.realistic]
    threshold = _threshold([dev], settings) if shared is None else shared
    realistic = _reading(look.realistic, units, settings, lambda _: threshold)
    idealised = _reading(look.idealised, look.tested[look.idealised], settings, metrics.eer_threshold)
    live = int(units.labels.sum())
    spoof = len(units.labels) - live
    notes = []
    if math.isnan(threshold):
        lacking = "live" if settings.threshold == "dev-bpcer" else "live and spoof"
        notes.append(
            f"no threshold without the target: there are no {lacking} dev rows, so realistic errors are not known; set "
            f"protocol.dev_share, give scores with the split dev, or a number as threshold"
        )
    if dev is None and len(look.tested) > 1:
        notes.append("no dev rows: the realistic step is the last one")
    for name, count in (("live", live), ("spoof", spoof)):
        if 0 < count < FEW:
            notes.append(
                f"only {count} {name} {'videos' if settings.level == 'video' else 'samples'}: one is {100 / count:.1f} %"
            )
    return Evaluation(
        trial.method,
        trial.protocol,
        trial.seed,
        settings,
        live,
        spoof,
        realistic,
        idealised,
        _intervals(realistic, settings),
        tuple(notes),
    )


def _reading(step: str, units: Scored, settings: Settings, threshold: Callable[[metrics.Roc], float]) -> Reading:
    points = metrics.roc(units.labels, units.scores)
    at = threshold(points)
    errors = metrics.rates(units.labels, units.scores, at, units.attacks)
    values = _swept(points, settings) | {
        "hter": errors.hter,
        "apcer": errors.apcer,
        "bpcer": errors.bpcer,
        "acer": errors.acer,
    }
    return Reading(step, at, {name: values[name] for name in FIGURES}, errors.apcer_of, units)


def _swept(points: metrics.Roc, settings: Settings) -> dict[str, float]:
    return {
        "auc": metrics.auc(points),
        "eer": metrics.eer(points),
        "tpr_at_fpr": metrics.tpr_at_fpr(points, settings.fpr),
        "tdr_at_fdr": metrics.tdr_at_fdr(points, settings.fdr),
    }


def _intervals(reading: Reading, settings: Settings) -> dict[str, Interval]:
    units, values, level = reading.units, reading.values, settings.confidence
    spoof = units.labels == 0
    live, attacked = _count(units.people[~spoof]), _count(units.people[spoof])
    kinds = np.array([name or "unknown" for name in units.attacks], np.str_)
    of_kind = {
        kind: clopper_pearson(rate, _count(units.people[spoof & (kinds == kind)]), level)
        for kind, rate in reading.apcer_of.items()
    }
    bpcer = clopper_pearson(values["bpcer"], live, level)
    far = 2 * values["hter"] - values["bpcer"]
    worst = max(reading.apcer_of, key=lambda kind: reading.apcer_of[kind], default="")
    apcer = of_kind.get(worst, (math.nan, math.nan))
    out = {
        "bpcer": bpcer,
        "apcer": apcer,
        "hter": mean_of_two(far, clopper_pearson(min(max(far, 0.0), 1.0), attacked, level), values["bpcer"], bpcer),
        "acer": mean_of_two(values["apcer"], apcer, values["bpcer"], bpcer),
        **{f"apcer:{kind}": interval for kind, interval in of_kind.items()},
    }
    if settings.bootstrap:
        ranking = metrics.Ranking(units.labels, units.scores)
        draws = metrics.draws(units.labels, units.people, settings.bootstrap, settings.seed)
        replicates = [_swept(ranking.roc(weights), settings) for weights in draws]
        out |= {name: metrics.interval([one[name] for one in replicates], level) for name in SWEPT}
        if values["auc"] in (0.0, 1.0):
            out["auc"] = score_interval_of_auc(values["auc"], live, attacked, level)
    return out


def _count(people: NDArray[np.str_]) -> int:
    return len(np.unique(people))
