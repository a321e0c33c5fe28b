"""A style that DiffFAS's weights never saw, carried by its guide alone: does the spoof take it, and keep the person?

The judge is another than the model's own encoder, and knows the sets: logistic regression on frozen ImageNet features, over the
live faces and the attacks of every set, each domain of replays a style of its own, and live faces of the strangers that spoofs
are made of. Half of each style's people teach it (half of the pictures, in their order, where there is one person), the other
half are guides, so that no spoof is recognised by the picture it was made after. How often it names the style of the guides
is the ceiling; how often it sees that style in the untouched live face, the floor. It is asked among all styles, and among
attacks alone, as spoofs of strangers' faces may keep the look of their own source.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality.backbone import Backbone, Floats
from bench.quality.crops import ONE_PERSON, Crops
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

COUNT = 100
"""Live faces that are given a style, styles taking turns."""

MOST = 60
"""Pictures of a style and kind that are looked at."""


def measure(data: Path, out: Path, config: SynthConfig, device: str = "cpu", count: int = COUNT) -> dict[str, Any]:
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
    of = np.array(pairs.style)
    attacks = tuple(guides)
    among = {"style": judge.styles, "attack": attacks}
    shares = {
        f"{kind}{name}": judge.named(pictures, styles) == of
        for kind, styles in among.items()
        for name, pictures in (("", made), (" of guides", pairs.guide), (" of untouched", pairs.live))
    }
    called, times = np.unique(judge.named(made, judge.styles), return_counts=True)
    embed = Judge(stage, None, None).networks["embedded network"]
    live, guide, spoof = (embed(pictures) for pictures in (pairs.live, pairs.guide, made))
    kept = (spoof * live).sum(1) > (spoof * guide).sum(1)
    save_sheet(out / "unseen.png", [signed(pictures[:36]) for pictures in (pairs.live, pairs.guide, made)], across=4)
    report = {
        "faces": len(made),
        "classes": len(judge.styles),
        "t": config.t,
        "gamma": config.gamma,
        "called": dict(zip(called.tolist(), times.tolist(), strict=True)),
        "rows": {
            name: {
                "count": int(own.sum()),
                "parent": float(kept[own].mean()),
                **{share: float(right[own].mean()) for share, right in shares.items()},
            }
            for name, own in {"all": np.ones(len(of), np.bool_), **{key: of == key for key in new}}.items()
        },
    }
    (out / "unseen.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


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
    live: NDArray[np.uint8], names: tuple[str, ...], people: NDArray[np.str_], guides: Mapping[str, NDArray[np.uint8]]
) -> Pairs:
    styles = [list(guides)[i % len(guides)] for i in range(len(live))]
    chosen = [
        guides[key][sample_seed(0, "unseen guide", name) % len(guides[key])] for key, name in zip(styles, names, strict=True)
    ]
    return Pairs(live, np.stack(chosen), styles, list(names), people.tolist())


def text(report: Mapping[str, Any]) -> str:
    """The report as text."""
    told = [key for key in next(iter(report["rows"].values())) if key != "count"]
    rows = [["", "n", *told]]
    for name, row in report["rows"].items():
        rows.append([name, str(row["count"]), *(f"{row[key]:.2f}" for key in told)])
    called = ", ".join(f"{name} {times}" for name, times in sorted(report["called"].items(), key=lambda item: -item[1]))
    head = f"{report['faces']} faces, {report['classes']} styles, t {report['t']}, gamma {report['gamma']}"
    return f"{head}; spoofs are called {called}\n{text_table(rows)}"
