"""Does what fasgen makes carry over to data sets that nobody learnt from? Cues, and synthetic spoofs.

Logistic regression on features, under the protocols of `bench.quality.trials`: it has no seed to hide behind. Features are
frozen ones of ImageNet (`bench.quality.backbone`), and for comparison of cues the light probe's colours and band energies
(`bench.quality.features`), which learn a set fast and carry over badly.

*Cues* stand beside the image in one probe. *Synthetic spoofs* (`bench.quality.lenders`) are made of live faces of strangers,
and stand with these beside the faces that a probe learns from, or in their place; where they have guides, these are attacks
that the probe may learn from. What weights have met of the sets is said with the figures, from their own records
(`bench.quality.shown`), and every row is read once more on what none of its networks has met.

*Traces*: how well the same features tell synthetic spoofs from the attacks that guided them, and reconstructions of live faces
from live faces, on people that the probe has not met. A generator that leaves none is at one half.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality.backbone import Backbone, Extractor, Floats
from bench.quality.draws import Walks
from bench.quality.features import features
from bench.quality.generator import Settings, walk_name
from bench.quality.lenders import DIFFFAS, Lenders
from bench.quality.maps import Maps
from bench.quality.metrics import auc
from bench.quality.probe import AUTOENCODER, LOW_PASS, low_pass
from bench.quality.shown import shown, told
from bench.quality.strangers import Strangers, strangers
from bench.quality.trials import (
    IMAGE,
    PROTOCOLS,
    C,
    Compared,
    Lent,
    Part,
    Split,
    Trial,
    by_part,
    certain,
    compare,
    judge,
    one_set_out,
    pairs,
    restricted,
    table,
)
from fasgen.stages.defake.config import model_folder as defake_folder
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.lgsc.config import weights_folder as lgsc_folder
from fasgen.stages.stdn.config import StdnConfig
from fasgen.stages.stdn.config import weights_folder as stdn_folder
from fasgen.stages.synth.config import SynthConfig, model_folder

FROZEN = "frozen"
RESIDUAL, CHANGE = "residual", "change of features"
LGSC, STDN = "LGSC's map", "STDN+'s traces"
FOLDS = 5

BEST = f"{IMAGE} + {RESIDUAL} + {STDN}"
"""What is shown part by part."""

CUES: dict[str, Callable[[Walks], NDArray[np.int16]]] = {
    RESIDUAL: lambda walks: walks.residual(),
    AUTOENCODER: lambda walks: walks.residual(t=0, draws=1),
    LOW_PASS: lambda walks: low_pass(walks.faces.images),
}
"""Cues (N, H, W, 3) of the faces, signed, in any unit. All but the first are to be had without a diffusion."""


@dataclass(frozen=True)
class Networks:
    """Settings of the stages whose work is judged.

    Attributes:
        settings: the generator of reconstructions, and how it walks.
        lgsc: spoof cue maps.
        stdn: spoof traces.
        synth: spoofs under a guide.
    """

    settings: Settings
    lgsc: LgscConfig
    stdn: StdnConfig
    synth: SynthConfig

    def weights(self) -> dict[str, Path]:
        """Folders by the name of what is made with them."""
        return {
            RESIDUAL: defake_folder(self.settings.defake),
            LGSC: lgsc_folder(self.lgsc.weights),
            STDN: stdn_folder(self.stdn.weights),
            DIFFFAS: model_folder(self.synth.weights),
        }

    def behind(self, name: str) -> list[Path]:
        """Folders of the weights behind a row of a table, which names them, as its parts between plus signs or by itself."""
        made = {AUTOENCODER: RESIDUAL, CHANGE: RESIDUAL}
        weights = self.weights()
        return [weights[kind] for kind in dict.fromkeys(made.get(part, part) for part in name.split(" + ")) if kind in weights]


def with_cue(extract: Extractor, plain: Floats, cue: NDArray[Any]) -> Floats:
    """Features of image and cue side by side: (N, F) and cues (N, H, W, 3) to (N, 2 F)."""
    return np.concatenate([plain, extract(cue)], 1)


def measure(data: Path, out: Path, networks: Networks) -> dict[str, Any]:
    """Every cue and every kind of synthetic spoof, write ``carry.json`` to ``out``, and return the figures.

    Args:
        data: folder of the data sets.
        out: folder to write to; it will hold crops, reconstructions and spoofs, each made once.
        networks: what is judged.

    Raises:
        SourceError: a data set is missing.
        WeightsError: the frozen features' packages are.
    """
    out.mkdir(parents=True, exist_ok=True)
    settings = networks.settings
    faces = strangers(data, out, settings.device)
    walks, frozen = Walks(settings, faces, out), Backbone(out / "features")
    report: dict[str, Any] = {
        "t": settings.defake.t,
        "walk": walk_name(settings.defake),
        "faces": len(faces.names),
        "people": len(np.unique(faces.people)),
        "groups": len(np.unique(faces.groups)),
        "seen": {name: told(folder, faces) for name, folder in networks.weights().items()},
        "cues": {},
        "cues, on what was not met": {},
        "parts": {},
    }
    maps = Maps(networks.lgsc, networks.stdn, faces, out, settings.device)
    extractors: dict[str, Extractor] = {FROZEN: frozen, "light": features}
    for kind, extract in extractors.items():
        seen = cue_sets(extract, walks, maps)
        for protocol, splits in PROTOCOLS.items():
            trials = {name: judge(splits(faces), own, faces) for name, own in seen.items()}
            report["cues"][f"{kind}, {protocol}"] = _rows(compare(trials, faces))
            if kind == FROZEN:
                report["cues, on what was not met"][protocol] = unmet(trials, networks, faces)
                report["parts"][protocol] = {
                    name: [asdict(part) for part in by_part(own, trials[IMAGE], faces)]
                    for name, own in trials.items()
                    if name != IMAGE
                }
    lenders = Lenders(data, out, networks.synth, faces, settings.device)
    plain = frozen(faces.images)
    report["strangers"] = len(lenders.live)
    report["spoofs"] = spoof_table(frozen, plain, faces, lenders, networks)
    report["fixed"] = {
        name: fixed_share(made[faces.spoof & ~shown(networks.behind(name), faces)])
        for name, made in ((LGSC, maps.lgsc()), (STDN, maps.stdn()))
    }
    report["traces"] = traces(frozen, plain, walks, lenders)
    (out / "carry.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def cue_sets(extract: Extractor, walks: Walks, maps: Maps) -> dict[str, Floats]:
    """What a probe sees: the image; the image and each cue; and the image with the residual and another cue."""
    plain = extract(walks.faces.images)
    own = {name: extract(make(walks)) for name, make in CUES.items()}
    own |= {CHANGE: extract(walks.reconstruction()) - plain, LGSC: extract(maps.lgsc()), STDN: extract(maps.stdn())}
    found = {IMAGE: plain} | {f"{IMAGE} + {name}": np.concatenate([plain, one], 1) for name, one in own.items()}
    for others in ((AUTOENCODER,), (CHANGE,), (AUTOENCODER, CHANGE), (LGSC,), (STDN,), (LGSC, STDN)):
        name = " + ".join((IMAGE, RESIDUAL, *others))
        found[name] = np.concatenate([plain, own[RESIDUAL], *(own[other] for other in others)], 1)
    return found


def unmet(
    trials: Mapping[str, list[Trial]], networks: Networks, faces: Strangers, base: str = IMAGE
) -> dict[str, dict[str, Any]]:
    """Every row but the base once more, on the faces that none of the networks behind it has met.

    Returns:
        by row, as of `compare` on these faces alone, with their number (``faces``) and the area of the base there (``base``).
    """
    found: dict[str, dict[str, Any]] = {}
    kinds = {name: ~shown(networks.behind(name), faces) for name in trials if name != base}
    for chosen in {new.tobytes(): new for new in kinds.values()}.values():
        rows = [base, *(name for name, new in kinds.items() if np.array_equal(new, chosen))]
        compared = _rows(compare({name: restricted(trials[name], chosen) for name in rows}, faces, base))
        found |= {name: compared[name] | {"faces": int(chosen.sum()), "base": compared[base]["area"]} for name in rows[1:]}
    return {name: found[name] for name in kinds}


def fixed_share(maps: NDArray[Any]) -> float:
    """Share of the energy of maps (N, H, W, 3) that is the same in all of them, the square of their mean: 1 is one pattern,
    whatever is seen."""
    values = maps.astype(np.float32)
    return float(np.square(values.mean(0)).mean() / np.square(values).mean())


def spoof_table(
    extract: Extractor, plain: Floats, faces: Strangers, lenders: Lenders, networks: Networks
) -> dict[str, dict[str, Any]]:
    """Synthetic spoofs beside what a probe learns from, and in its place, each over its base.

    Returns:
        by protocol, rows as of `compare`, with what `unmet` says of them where there is a base. Beside real faces the base is
        these alone, and strangers' live faces without spoofs are a row of their own; alone, there is no base, and gains are
        over the first kind.
    """
    live = extract(lenders.live)

    def lend(*kinds: str) -> Callable[[Split], Lent]:
        def of(split: Split) -> Lent:
            sources = tuple(np.unique(faces.sets[split.train]).tolist())
            made = [extract(lenders.spoofs(kind, sources)) for kind in kinds]
            labels = np.concatenate([np.zeros(len(live), np.bool_), *(np.ones(len(part), np.bool_) for part in made)])
            return Lent(np.concatenate([live, *made]), labels)

        return of

    named = {kind: (kind,) for kind in lenders.kinds}
    named[" + ".join(lenders.ours)] = lenders.ours
    report: dict[str, dict[str, Any]] = {}
    for protocol, splits in (("one set out", one_set_out(faces)), ("pairs of sets", pairs(faces))):
        trials = {
            "real attacks": judge(splits, plain, faces),
            "real + strangers, live": judge(splits, plain, faces, lend=lend()),
        }
        trials |= {f"real + {name}": judge(splits, plain, faces, lend=lend(*own)) for name, own in named.items()}
        report[f"beside, {protocol}"] = _rows(compare(trials, faces, base="real attacks"))
        report[f"beside, {protocol}, on what was not met"] = unmet(trials, networks, faces, "real attacks")
    trials = {name: judge(one_set_out(faces), plain, faces, lend=lend(*own), alone=True) for name, own in named.items()}
    report["alone, each set"] = _rows(compare(trials, faces, base=next(iter(named))))
    return report


def traces(extract: Extractor, plain: Floats, walks: Walks, lenders: Lenders) -> dict[str, float]:
    """Area under the ROC curve by which what was made is told from what it is made after, on people not met."""
    faces = walks.faces
    live = ~faces.spoof
    made = extract(walks.reconstruction())
    found = {
        "reconstructions from live faces": _told(plain[live], faces.people[live], made[live], faces.people[live]),
        "strangers' live faces from live faces": _told(plain[live], faces.people[live], extract(lenders.live), lenders.people),
    }
    for source in np.unique(faces.sets).tolist():
        attacks = faces.spoof & (faces.sets == source)
        found[f"strangers' live faces from attacks of {source}"] = _told(
            plain[attacks], faces.people[attacks], extract(lenders.live), lenders.people
        )
        for kind in lenders.ours:
            spoofs = extract(lenders.spoofs(kind, (source,)))
            found[f"{kind} from attacks of {source}"] = _told(plain[attacks], faces.people[attacks], spoofs, lenders.people)
    return found


def _told(first: Floats, first_people: NDArray[np.str_], second: Floats, second_people: NDArray[np.str_]) -> float:
    """Cross-validated over people: mean area in ``FOLDS`` folds, of the second over the first."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    seen, people = np.concatenate([first, second]), np.concatenate([first_people, second_people])
    labels = np.arange(len(seen)) >= len(first)
    areas = []
    for train, test in GroupKFold(FOLDS).split(seen, labels, people):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000, class_weight="balanced"))
        scores = probe.fit(seen[train], labels[train]).decision_function(seen[test])
        if labels[test].any() and not labels[test].all():
            areas.append(auc(scores[labels[test]], scores[~labels[test]]))
    return float(np.mean(areas))


def _unmet_lines(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Rows of what `unmet` found: each on faces of its own."""
    heads = (f"{name}: base | with it | gain" for name in found)
    yield f"| on what none of a row's networks has met | faces | {' | '.join(heads)} |"
    yield f"| --- | --- |{' --- | --- | --- |' * len(found)}"
    for name, first in next(iter(found.values())).items():
        cells = [str(first["faces"])]
        for column in found.values():
            one = column[name]
            gain = f"{one['gain']:+.3f} ({one['gain_low']:+.3f} to {one['gain_high']:+.3f})"
            cells += [f"{one['base']:.3f}", f"{one['area']:.3f}", gain]
        yield f"| {name} | {' | '.join(cells)} |"


def _rows(found: Mapping[str, Compared]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in found.items()}


def text(report: dict[str, Any]) -> str:
    """The report as Markdown tables."""
    return "\n".join(_lines(report))


def _lines(report: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{report['faces']} faces of {report['people']} people in {report['groups']} groups; residual at t = {report['t']}, "
        f"{report['walk']}; mean area under the ROC curve and gain (95 %)"
    )
    yield ""
    yield from (f"{name}: its weights have seen {seen}" for name, seen in report["seen"].items())
    yield ""
    yield from table(report["cues"])
    yield ""
    yield from _unmet_lines(report["cues, on what was not met"])
    yield ""
    parts = {
        protocol: {name: [Part(**one) for one in some] for name, some in rows.items()}
        for protocol, rows in report["parts"].items()
    }
    yield f"| parts that gain beyond doubt, or lose, of all | {' | '.join(parts)} |"
    yield f"| --- |{' --- |' * len(parts)}"
    for name in next(iter(parts.values())):
        counted = (certain(rows[name]) for rows in parts.values())
        yield f"| {name} | {' | '.join(f'{above}, {below}, {all_}' for above, below, all_ in counted)} |"
    yield ""
    yield f"| {BEST}, part by part | people | faces | image | at most to gain | gain | least that is told from 0 |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for protocol, rows in parts.items():
        for one in rows[BEST]:
            gain = f"{one.gain:+.3f} ({one.low:+.3f} to {one.high:+.3f})"
            cells = (one.people, one.faces, f"{one.base:.3f}", f"{1 - one.base:.3f}", gain, f"{one.least:.3f}")
            yield f"| {protocol}: {one.name} | {' | '.join(map(str, cells))} |"
    yield ""
    yield "| share of attacks' maps that is the same in all, weights not having met them | |"
    yield "| --- | --- |"
    yield from (f"| {name} | {share:.3f} |" for name, share in report["fixed"].items())
    yield ""
    yield f"Spoofs of {report['strangers']} strangers:"
    for name, rows in report["spoofs"].items():
        yield ""
        yield from _unmet_lines({name: rows}) if "not met" in name else table({name: rows}, "learnt from")
    yield ""
    yield "| told by features, people not met | area |"
    yield "| --- | --- |"
    yield from (f"| {name} | {area:.3f} |" for name, area in report["traces"].items())
