"""The short table: each method over all folds of its protocol and all seeds, and what it gains on the first one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from fasgen.downstream.evaluate import Evaluation

FIGURES = tuple((name, at) for name in ("hter", "auc") for at in ("realistic", "idealised"))

HEADER = (
    "method",
    "runs",
    *(cell for name, at in FIGURES for cell in (f"{name.upper()} {at}", "over folds")),
    *("HTER gain", "folds won", "AUC gain", "folds won"),
)

CAPTION = (
    "mean over folds ± standard deviation over seeds; over folds: standard deviation of the folds' means over seeds; gain: "
    "mean difference of the realistic figures to the first method's on the same folds and seeds, positive is better; folds "
    "won: folds whose mean over seeds is better"
)


def summary_rows(evaluations: Sequence[Evaluation]) -> list[tuple[str, ...]]:
    """A row a method, cells as in `HEADER`; figures in %.

    Gains are over the folds and seeds that both methods have.
    """
    by_method: dict[str, dict[tuple[str, str], Evaluation]] = {}
    for one in evaluations:
        by_method.setdefault(one.method, {})[one.protocol, one.seed] = one
    first = next(iter(by_method.values()))
    rows = []
    for method, runs in by_method.items():
        cells = [method, str(len(runs))]
        for name, at in FIGURES:
            cells += _figure({key: getattr(one, at).values[name] for key, one in runs.items()})
        for name, sign in (("hter", -1.0), ("auc", 1.0)):
            both = {
                key: sign * (one.realistic.values[name] - first[key].realistic.values[name])
                for key, one in runs.items()
                if key in first
            }
            cells += ["-", "-"] if runs is first else _gain(both)
        rows.append(tuple(cells))
    return rows


def _figure(values: Mapping[tuple[str, str], float]) -> list[str]:
    folds, seeds = _means(values, 0), _means(values, 1)
    known = len(folds) > 1 and not any(map(math.isnan, folds))
    return [f"{_percent(mean(folds))}{_spread(seeds)}", _percent(stdev(folds)) if known else "-"]


def _gain(values: Mapping[tuple[str, str], float]) -> list[str]:
    if not values or any(map(math.isnan, values.values())):
        return ["-", "-"]
    folds, seeds = _means(values, 0), _means(values, 1)
    return [f"{100 * mean(folds):+.2f}{_spread(seeds)}", f"{sum(value > 0 for value in folds)} of {len(folds)}"]


def _means(values: Mapping[tuple[str, str], float], part: int) -> list[float]:
    groups: dict[str, list[float]] = {}
    for key, value in values.items():
        groups.setdefault(key[part], []).append(value)
    return [mean(group) for group in groups.values()]


def _spread(seeds: Sequence[float]) -> str:
    return f" ± {_percent(stdev(seeds))}" if len(seeds) > 1 and not any(map(math.isnan, seeds)) else ""


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.2f}"
