"""Probes that are tested on people, sets and attacks they never met, and what one probe gains over another, with intervals.

* *one group out*: tested on each group of `bench.quality.strangers`, trained on all others;
* *one set out*: the same of whole sets, so that no probe has met the kind of camera and attack;
* *pairs of sets*: trained on one set alone, tested on another, every ordered pair.

The area under the ROC curve is taken in every test part by itself, and averaged. Its interval is a bootstrap over people: they
are drawn again within each set, as many as there are, and a part counts as often as its people were drawn. What is gained is
judged draw by draw, so that the parts' own ease or difficulty cancels; `by_part` says it of each part, and what gain could be
seen there at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality.backbone import Floats
from bench.quality.metrics import auc
from bench.quality.strangers import Strangers

C = 0.01
"""Inverse strength of the probe's L2 penalty."""

DRAWS, SEED = 1000, 0
IMAGE = "image"


@dataclass(frozen=True)
class Split:
    """Faces (N,) bool that a probe may learn from, and those that it is tested on."""

    name: str
    train: NDArray[np.bool_]
    test: NDArray[np.bool_]


def one_group_out(faces: Strangers) -> list[Split]:
    """Each group, and all others to learn from."""
    return _each_out(faces.groups)


def one_set_out(faces: Strangers) -> list[Split]:
    """Each set, and all others to learn from."""
    return _each_out(faces.sets)


def _each_out(parts: NDArray[np.str_]) -> list[Split]:
    return [Split(str(part), parts != part, parts == part) for part in np.unique(parts)]


def pairs(faces: Strangers) -> list[Split]:
    """Each set, and one other set to learn from."""
    names = [str(name) for name in np.unique(faces.sets)]
    return [
        Split(f"{source} to {goal}", faces.sets == source, faces.sets == goal)
        for source in names
        for goal in names
        if goal != source
    ]


PROTOCOLS: dict[str, Callable[[Strangers], list[Split]]] = {
    "one group out": one_group_out,
    "one set out": one_set_out,
    "pairs of sets": pairs,
}


@dataclass(frozen=True)
class Lent:
    """Faces that a probe learns from beside those of its split, or in their place: features (M, F) and labels (M,)."""

    seen: Floats
    spoof: NDArray[np.bool_]


@dataclass(frozen=True)
class Trial:
    """One part that was tested: indices of its faces, and their scores, higher being more of an attack."""

    name: str
    tested: NDArray[np.int64]
    scores: NDArray[np.float64]


def judge(
    splits: Sequence[Split],
    seen: Floats,
    faces: Strangers,
    c: float = C,
    *,
    lend: Callable[[Split], Lent] | None = None,
    alone: bool = False,
) -> list[Trial]:
    """Logistic regression on each split.

    Args:
        splits: of one protocol.
        seen: features (N, F).
        faces: whose.
        c: inverse strength of the L2 penalty.
        lend: what is learnt from further, by split.
        alone: learn from what is lent, and from nothing else.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    trials = []
    for split in splits:
        known, spoof = seen[split.train], faces.spoof[split.train]
        if lend is not None:
            more = lend(split)
            known = more.seen if alone else np.concatenate([known, more.seen])
            spoof = more.spoof if alone else np.concatenate([spoof, more.spoof])
        scale = StandardScaler().fit(known)
        probe = LogisticRegression(C=c, max_iter=5000, class_weight="balanced").fit(scale.transform(known), spoof)
        scores = np.asarray(probe.decision_function(scale.transform(seen[split.test])), np.float64)
        trials.append(Trial(split.name, split.test.nonzero()[0], scores))
    return trials


def mean_area(trials: list[Trial], spoof: NDArray[np.bool_], times: NDArray[np.int64] | None = None) -> float:
    """Mean over the trials of the area under the ROC curve.

    Args:
        trials: what was tested.
        spoof: (N,) labels.
        times: (N,) how often each face was drawn; once where not given. A trial weighs as many faces as were drawn of it,
            relative to those that it has.
    """
    areas, weights = [], []
    for trial in trials:
        attack, scores = spoof[trial.tested], trial.scores
        if times is not None:
            often = times[trial.tested]
            attack, scores = np.repeat(attack, often), np.repeat(scores, often)
        if attack.any() and not attack.all():
            areas.append(auc(scores[attack], scores[~attack]))
            weights.append(len(attack) / len(trial.tested))
    return float(np.average(areas, weights=weights))


def resampled(faces: Strangers, draws: int = DRAWS, seed: int = SEED) -> Iterator[NDArray[np.int64]]:
    """How often each face (N,) is drawn when people are drawn again within each set, ``draws`` times."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    people = {str(name): np.unique(faces.people[faces.sets == name]) for name in np.unique(faces.sets)}
    for _ in range(draws):
        times = np.zeros(len(faces.names), np.int64)
        for name, known in people.items():
            drawn = np.bincount(rng.integers(len(known), size=len(known)), minlength=len(known))
            own = faces.sets == name
            times[own] = drawn[np.searchsorted(known, faces.people[own])]
        yield times


@dataclass(frozen=True)
class Compared:
    """Mean area of one feature set under one protocol, and what it gains over another, with 95 % intervals.

    Attributes:
        area: mean area.
        low, high: of the area.
        gain: over the one it is compared with.
        gain_low, gain_high: of the gain.
        by_trial: area of each trial.
    """

    area: float
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float
    by_trial: dict[str, float]


def compare(trials: Mapping[str, list[Trial]], faces: Strangers, base: str = IMAGE, draws: int = DRAWS) -> dict[str, Compared]:
    """Every feature set under one protocol, each beside ``base``.

    Args:
        trials: by feature set, ``base`` among them.
        faces: whose.
        base: what gains are over.
        draws: of the bootstrap.
    """
    often = list(resampled(faces, draws))
    drawn = {name: np.array([mean_area(own, faces.spoof, times) for times in often]) for name, own in trials.items()}
    found = {name: mean_area(own, faces.spoof) for name, own in trials.items()}
    return {
        name: Compared(
            found[name],
            *_interval(drawn[name]),
            found[name] - found[base],
            *_interval(drawn[name] - drawn[base]),
            {trial.name: mean_area([trial], faces.spoof) for trial in own},
        )
        for name, own in trials.items()
    }


def restricted(trials: Sequence[Trial], chosen: NDArray[np.bool_]) -> list[Trial]:
    """The same trials on the faces ``chosen`` (N,) alone; one that tests none of them is left out."""
    kept = ((trial, chosen[trial.tested]) for trial in trials)
    return [Trial(trial.name, trial.tested[own], trial.scores[own]) for trial, own in kept if own.any()]


@dataclass(frozen=True)
class Part:
    """What one part says by itself, its people drawn again.

    Attributes:
        name: of the part.
        people, faces: in it.
        base: area of what gains are over; no gain is above 1 less this.
        gain: in area.
        low, high: 95 % interval of the gain.
    """

    name: str
    people: int
    faces: int
    base: float
    gain: float
    low: float
    high: float

    @property
    def least(self) -> float:
        """The least gain that is told from 0 here: as far as the interval reaches below its middle."""
        return self.gain - self.low


def by_part(
    trials: Sequence[Trial], base: Sequence[Trial], faces: Strangers, draws: int = DRAWS, seed: int = SEED
) -> list[Part]:
    """Part by part, the gain over ``base`` and how sure it is.

    People of a part are drawn again; where it shows one alone, that person's pictures are, the live ones and the attacks by
    themselves: such an interval says nothing of other people.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    found = []
    for trial, other in zip(trials, base, strict=True):
        people, spoof = faces.people[trial.tested], faces.spoof[trial.tested]
        known = np.unique(people)
        alone = len(known) == 1
        units = [np.flatnonzero(spoof == kind) for kind in (False, True)]
        gains = []
        for _ in range(draws):
            if alone:
                drawn = np.concatenate([rng.choice(unit, len(unit)) for unit in units])
            else:
                times = np.bincount(rng.integers(len(known), size=len(known)), minlength=len(known))
                drawn = np.repeat(np.arange(len(people)), times[np.searchsorted(known, people)])
            attack = spoof[drawn]
            if attack.any() and not attack.all():
                one, two = trial.scores[drawn], other.scores[drawn]
                gains.append(auc(one[attack], one[~attack]) - auc(two[attack], two[~attack]))
        before = mean_area([other], faces.spoof)
        gain = mean_area([trial], faces.spoof) - before
        found.append(Part(trial.name, len(known), len(spoof), before, gain, *_interval(np.array(gains))))
    return found


def certain(parts: Sequence[Part]) -> tuple[int, int, int]:
    """In how many parts the interval lies above 0, in how many below, and of how many parts."""
    return sum(part.low > 0 for part in parts), sum(part.high < 0 for part in parts), len(parts)


def _interval(values: NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def table(found: Mapping[str, Mapping[str, Mapping[str, Any]]], head: str = "features") -> Iterator[str]:
    """Rows of a Markdown table: of every column and feature set, what `Compared` says; the first is what gains are over."""
    base = next(iter(next(iter(found.values()))))
    yield f"| {head} | {' | '.join(f'{name} | gain' for name in found)} |"
    yield f"| --- |{' --- | --- |' * len(found)}"
    for name in next(iter(found.values())):
        cells = []
        for column in found.values():
            one = column[name]
            cells.append(f"{one['area']:.3f} ({one['low']:.3f} to {one['high']:.3f})")
            gain = f"{one['gain']:+.3f} ({one['gain_low']:+.3f} to {one['gain_high']:+.3f})"
            cells.append("" if name == base else gain)
        yield f"| {name} | {' | '.join(cells)} |"
