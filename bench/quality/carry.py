"""Does what a cue shows of attacks carry over to data sets that nobody learnt from?

Logistic regression on features of the image, and of the image and a cue, under three protocols:

* *one group out*: tested on each group of `bench.quality.strangers`, trained on all others;
* *one set out*: the same of whole sets, so that no probe has met the kind of camera and attack;
* *pairs of sets*: trained on one set alone, tested on another, every ordered pair.

Features are frozen ones of ImageNet (`bench.quality.backbone`), and for comparison the light probe's colours and band energies
(`bench.quality.features`), which learn a set fast and carry over badly. The area under the ROC curve is taken in every test
part by itself, and averaged. Its interval is a bootstrap over people: they are drawn again within each set, as many as there
are, and a part counts as often as its people were drawn. What a cue adds to the image is judged draw by draw, so that the
parts' own ease or difficulty cancels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality.backbone import Backbone, Floats
from bench.quality.draws import Walks
from bench.quality.features import features
from bench.quality.generator import Settings, walk_name
from bench.quality.metrics import auc
from bench.quality.probe import AUTOENCODER, LOW_PASS, low_pass
from bench.quality.strangers import Strangers, strangers

C = 0.01
"""Inverse strength of the probe's L2 penalty."""

DRAWS, SEED = 1000, 0
IMAGE, RESIDUAL = "image", "residual"

CUES: dict[str, Callable[[Walks], NDArray[np.int16]]] = {
    RESIDUAL: lambda walks: walks.residual(),
    AUTOENCODER: lambda walks: walks.residual(t=0, draws=1),
    LOW_PASS: lambda walks: low_pass(walks.faces.images),
}
"""Cues (N, H, W, 3) of the faces, signed, in any unit. All but the first are to be had without a diffusion."""

Extractor = Callable[[NDArray[Any]], Floats]
"""Features (N, F) of images or of signed cues."""


@dataclass(frozen=True)
class Trial:
    """One part that was tested: indices of its faces, and their scores, higher being more of an attack."""

    name: str
    tested: NDArray[np.int64]
    scores: NDArray[np.float64]


def one_group_out(seen: Floats, faces: Strangers, c: float = C) -> list[Trial]:
    """Each group under a probe that was trained on all others.

    Args:
        seen: features (N, F).
        faces: whose.
        c: inverse strength of the L2 penalty.
    """
    return _each_out(seen, faces, faces.groups, c)


def one_set_out(seen: Floats, faces: Strangers, c: float = C) -> list[Trial]:
    """Each set under a probe that was trained on all others."""
    return _each_out(seen, faces, faces.sets, c)


def _each_out(seen: Floats, faces: Strangers, parts: NDArray[np.str_], c: float) -> list[Trial]:
    return [_trial(seen, faces, parts != part, parts == part, str(part), c) for part in np.unique(parts)]


def pairs(seen: Floats, faces: Strangers, c: float = C) -> list[Trial]:
    """Each set under probes that were trained on one other set alone."""
    names = [str(name) for name in np.unique(faces.sets)]
    return [
        _trial(seen, faces, faces.sets == source, faces.sets == goal, f"{source} to {goal}", c)
        for source in names
        for goal in names
        if goal != source
    ]


PROTOCOLS = {"one group out": one_group_out, "one set out": one_set_out, "pairs of sets": pairs}


def _trial(seen: Floats, faces: Strangers, train: NDArray[np.bool_], test: NDArray[np.bool_], name: str, c: float) -> Trial:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(seen[train])
    probe = LogisticRegression(C=c, max_iter=5000, class_weight="balanced").fit(
        scale.transform(seen[train]), faces.spoof[train]
    )
    (tested,) = test.nonzero()
    return Trial(name, tested, np.asarray(probe.decision_function(scale.transform(seen[test])), np.float64))


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


def _interval(values: NDArray[Any]) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)


def with_cue(extract: Extractor, plain: Floats, cue: NDArray[Any]) -> Floats:
    """Features of image and cue side by side: (N, F) and cues (N, H, W, 3) to (N, 2 F)."""
    return np.concatenate([plain, extract(cue)], 1)


def measure(data: Path, out: Path, settings: Settings) -> dict[str, Any]:
    """Every cue beside the image alone, write ``carry.json`` to ``out``, and return the figures.

    Args:
        data: folder of the data sets.
        out: folder to write to; it will hold crops and reconstructions.
        settings: the generator, and how it walks.

    Raises:
        SourceError: a data set is missing.
        WeightsError: the frozen features' packages are.
    """
    out.mkdir(parents=True, exist_ok=True)
    faces = strangers(data, out, settings.device)
    walks = Walks(settings, faces, out)
    extractors: dict[str, Extractor] = {"frozen": Backbone(out / "features"), "light": features}
    report: dict[str, Any] = {
        "t": settings.defake.t,
        "walk": walk_name(settings.defake),
        "faces": len(faces.names),
        "people": len(np.unique(faces.people)),
        "groups": len(np.unique(faces.groups)),
        "found": {},
    }
    for kind, extract in extractors.items():
        plain = extract(faces.images)
        seen = {IMAGE: plain} | {name: with_cue(extract, plain, make(walks)) for name, make in CUES.items()}
        for protocol, judge in PROTOCOLS.items():
            compared = compare({name: judge(own, faces) for name, own in seen.items()}, faces)
            report["found"][f"{kind}, {protocol}"] = {name: asdict(one) for name, one in compared.items()}
    (out / "carry.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def text(report: dict[str, Any]) -> str:
    """The report as a Markdown table."""
    head = (
        f"{report['faces']} faces of {report['people']} people in {report['groups']} groups; residual at t = {report['t']}, "
        f"{report['walk']}; mean area under the ROC curve and gain on the image (95 %)"
    )
    return "\n".join([head, "", *table(report["found"])])


def table(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Rows of a Markdown table: of every column and feature set, what `Compared` says."""
    yield f"| features | {' | '.join(f'{name} | gain' for name in found)} |"
    yield f"| --- |{' --- | --- |' * len(found)}"
    for name in next(iter(found.values())):
        cells = []
        for column in found.values():
            one = column[name]
            cells.append(f"{one['area']:.3f} ({one['low']:.3f} to {one['high']:.3f})")
            gain = f"{one['gain']:+.3f} ({one['gain_low']:+.3f} to {one['gain_high']:+.3f})"
            cells.append("" if name == IMAGE else gain)
        yield f"| {name if name == IMAGE else f'image + {name}'} | {' | '.join(cells)} |"
