"""A style that DiffFAS's weights never saw, carried by its guide alone: does the spoof take it, and keep the person?

Each of some live faces of strangers gets a guide of every such style. Two questions are asked of the spoofs, of their guides
(the ceiling), of the untouched faces (the floor), and of a control that has the guide's tones without any model: the live face
whose low frequencies are the guide's.

*Named*: does a judge call them by the style? It is logistic regression on frozen ImageNet features over the live faces and the
attacks of every set, each domain of replays a style of its own, and live faces of the strangers. Half of each style's people
teach it (half of the pictures, in their order, where there is one person), the other half are guides, so that no spoof is
recognised by the picture it was made after. It is asked among all styles, and among attacks alone. Most styles here are one
person in one place, so it may know them by what no style is: the control shows how far.

*Matched*: spoofs of one face under all styles differ by their guides alone. Features less their mean over the styles, of the
spoofs and of the styles' own attacks, are compared by cosine, and the nearest style is taken: who is shown, and where, drops
out. Frozen features, and the light probe's colours and band energies; by chance one in as many as there are styles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality.backbone import Backbone, Extractor, Floats
from bench.quality.crops import ONE_PERSON, Crops
from bench.quality.features import features
from bench.quality.lenders import style_key
from bench.quality.live import WILD, live_faces, spread
from bench.quality.metrics import text_table
from bench.quality.probe import LISTINGS, aligned
from bench.quality.strangers import place
from bench.quality.synthesis import Judge, Pairs, signed, synthesise
from bench.quality.trials import C
from fasgen.seeds import sample_seed
from fasgen.stages.synth.config import SynthConfig
from fasgen.stages.synth.stage import Diffusion
from fasgen.training.sheet import save_sheet

FACES = 24
"""Live faces, each of which is given every style."""

MOST = 60
"""Pictures of a style and kind that are looked at."""

LOW = 8.0
"""Deviation of the control's low pass, px."""


def measure(data: Path, out: Path, config: SynthConfig, device: str = "cpu", count: int = FACES) -> dict[str, Any]:
    """Synthesise, write ``unseen.json`` to ``out``, and return the figures.

    Args:
        data: folder of the data sets.
        out: folder to write to; it holds crops.
        config: settings of synth; styles that the weights do not know are rendered, whatever ``unseen`` says.
        device: torch's name of the device.
        count: live faces.

    Raises:
        SourceError: a data set is missing.
        WeightsError: the frozen features' packages are.
    """
    stage = Diffusion(config.model_copy(update={"unseen": "mark"}), torch.device(device))
    teach, guides = halves([aligned(data, out, name, device) for name in LISTINGS])
    # Whoever was seen in one domain is no stranger in another.
    met = {ONE_PERSON.get(key.split("|")[1], key.split("|")[1]) for key in stage.known if key.startswith("replay|")}
    new = [key for key in sorted(guides) if key not in stage.known and ONE_PERSON.get(key.split("|")[1]) not in met]
    found = live_faces("wild", data, out, subjects=(), limit=2 * count)
    frozen = Backbone(out / "features")
    judge = Styles(frozen, teach | {f"{WILD}|live": found.crops[1::2]})
    pairs = _pairs(found.crops[::2], found.names[::2], found.subjects[::2], {key: guides[key] for key in new})
    made = synthesise(stage, pairs)
    shown = {
        "spoofs": made,
        "guides": pairs.guide,
        "untouched": pairs.live,
        "control": np.stack([low_frequencies(*both) for both in zip(pairs.live, pairs.guide, strict=True)]),
    }
    of = np.array(pairs.style)
    among = {"of all": judge.styles, "of attacks": tuple(guides)}
    extractors: dict[str, Extractor] = {"frozen": frozen, "light": features}
    matches = {name: Matches(extract, {key: teach[key] for key in new}) for name, extract in extractors.items()}
    right = {
        name: {kind: judge.named(pictures, styles) == of for kind, styles in among.items()}
        | {kind: one.matched(pictures) == of for kind, one in matches.items()}
        for name, pictures in shown.items()
    }
    called, times = np.unique(judge.named(made, judge.styles), return_counts=True)
    embed = Judge(stage, None, None).networks["embedded network"]
    live, guide, spoof = (embed(pictures) for pictures in (pairs.live, pairs.guide, made))
    kept = (spoof * live).sum(1) > (spoof * guide).sum(1)
    sheet = np.arange(0, len(made), max(1, len(made) // 36))[:36]
    save_sheet(out / "unseen.png", [signed(pictures[sheet]) for pictures in (pairs.live, pairs.guide, made)], across=4)
    report = {
        "faces": len(made) // len(new),
        "styles": len(new),
        "classes": len(judge.styles),
        "t": config.t,
        "gamma": config.gamma,
        "parent": float(kept.mean()),
        "called": dict(zip(called.tolist(), times.tolist(), strict=True)),
        "rows": {
            name: {
                kind: {"all": float(hit.mean())} | {key: float(hit[of == key].mean()) for key in new}
                for kind, hit in own.items()
            }
            for name, own in right.items()
        },
    }
    (out / "unseen.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def low_frequencies(live: NDArray[np.uint8], guide: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The live face (H, W, 3) with what a Gaussian of `LOW` px leaves of the guide in place of its own."""
    x, y = live.astype(np.float32), guide.astype(np.float32)
    made = x - cv2.GaussianBlur(x, (0, 0), LOW) + cv2.GaussianBlur(y, (0, 0), LOW)
    return np.asarray(np.rint(made.clip(0, 255)), np.uint8)


class Matches:
    """Tells the styles of pictures that differ by nothing else.

    Args:
        extract: features.
        known: attacks (N, H, W, 3) by style.
    """

    def __init__(self, extract: Extractor, known: Mapping[str, NDArray[np.uint8]]) -> None:
        self._extract, self._styles = extract, np.array(list(known))
        seen = [extract(pictures) for pictures in known.values()]
        self._unit = np.concatenate(seen).std(0) + 1e-6
        self._aims = _directions(np.stack([own.mean(0) for own in seen]) / self._unit)

    def matched(self, pictures: NDArray[np.uint8]) -> NDArray[np.str_]:
        """The nearest style (N,) of pictures (N, H, W, 3): of each face one under every style, in their order."""
        count = len(self._styles)
        found = self._extract(pictures) / self._unit
        near = np.concatenate([_directions(own) @ self._aims.T for own in np.split(found, len(found) // count)])
        styles: NDArray[np.str_] = self._styles[near.argmax(1)]
        return styles


def _directions(x: Floats) -> Floats:
    """Of (N, F) what each differs by from the mean of all, of length 1."""
    apart = x - x.mean(0)
    return np.asarray(apart / np.linalg.norm(apart, axis=1, keepdims=True).clip(1e-9), np.float32)


class Styles:
    """Names the style of pictures.

    Attributes:
        styles: that it knows.

    Args:
        extract: frozen features.
        known: pictures (N, H, W, 3) by style.
    """

    def __init__(self, extract: Backbone, known: Mapping[str, NDArray[np.uint8]]) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self._extract, self.styles = extract, tuple(known)
        seen: Floats = np.concatenate([extract(pictures) for pictures in known.values()])
        names = np.repeat(np.array(self.styles), [len(pictures) for pictures in known.values()])
        self._probe = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000, class_weight="balanced"))
        self._probe.fit(seen, names)

    def named(self, pictures: NDArray[np.uint8], among: Sequence[str]) -> NDArray[np.str_]:
        """The most probable of some styles (N,) of pictures (N, H, W, 3)."""
        classes = self._probe.classes_
        scores = np.where(np.isin(classes, list(among)), self._probe.decision_function(self._extract(pictures)), -np.inf)
        found: NDArray[np.str_] = classes[scores.argmax(1)]
        return found


def halves(parts: list[Crops]) -> tuple[dict[str, NDArray[np.uint8]], dict[str, NDArray[np.uint8]]]:
    """Of every style two sets of pictures: live faces and attacks of the people of one half, and attacks of the other half."""
    teach: dict[str, NDArray[np.uint8]] = {}
    guides: dict[str, NDArray[np.uint8]] = {}
    for crops in parts:
        names = crops.names.tolist()
        attacked = np.array([style_key(name) for name in names])
        keys = np.where(crops.spoof, attacked, np.array([f"{key.rsplit('|', 1)[0]}|live" for key in attacked.tolist()]))
        people = np.array([place(name).person for name in names])
        for key in np.unique(keys).tolist():
            own = np.flatnonzero(keys == key)
            known = np.unique(people[own])
            early = np.isin(people[own], known[: len(known) // 2]) if len(known) > 1 else np.arange(len(own)) < len(own) // 2
            first, second = own[early], own[~early]
            teach[key] = crops.images[first[spread(len(first), MOST)]]
            if crops.spoof[own[0]]:
                guides[key] = crops.images[second[spread(len(second), MOST)]]
    return teach, guides


def _pairs(
    live: NDArray[np.uint8], names: Sequence[str], people: NDArray[np.str_], guides: Mapping[str, NDArray[np.uint8]]
) -> Pairs:
    each = len(guides)
    chosen = [own[sample_seed(0, f"unseen guide {key}", name) % len(own)] for name in names for key, own in guides.items()]
    asked = [f"{name} {key}" for name in names for key in guides]
    return Pairs(live.repeat(each, 0), np.stack(chosen), [*guides] * len(names), asked, np.repeat(people, each).tolist())


def text(report: Mapping[str, Any]) -> str:
    """The report as text: of every kind of picture, how often each question gets the right answer, and by style."""
    kinds = next(iter(report["rows"].values()))
    rows = [["", *kinds]]
    for name, own in report["rows"].items():
        rows += [[name if key == "all" else f"  {key}", *(f"{own[kind][key]:.2f}" for kind in own)] for key in own["of all"]]
    called = ", ".join(f"{name} {times}" for name, times in sorted(report["called"].items(), key=lambda item: -item[1]))
    head = (
        f"{report['faces']} faces under {report['styles']} styles each, t {report['t']}, gamma {report['gamma']}; named among "
        f"{report['classes']} styles; nearer to the parent than to the guide {report['parent']:.2f}"
    )
    return f"{head}\nspoofs are called {called}\n{text_table(rows)}"
