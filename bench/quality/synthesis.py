"""Do spoofs keep the person and take the style? DiffFAS, and the physical simulation, on live faces held out of training.

Each live face meets one guide, the styles taking turns, by the stage itself. Told are the share of spoofs whose identity is
nearer to the live parent than to the guide, the share in which the style encoder sees the guide's style (chance beside it),
and how both move with the strength t and the guidance gamma.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality.crops import Crops, cut_once, list_photographs, list_replays
from bench.quality.live import CELEBRITIES, SUBJECTS, spread
from bench.quality.metrics import Distribution, text_table
from bench.quality.teacher import Teacher
from fasgen.errors import SourceError
from fasgen.seeds import sample_seed
from fasgen.stages.batching import to_signed
from fasgen.stages.identify.config import weights_path
from fasgen.stages.identify.load import load as load_identity
from fasgen.stages.physical.config import STYLES
from fasgen.stages.physical.simulate import simulate
from fasgen.stages.stage import Product, Sample
from fasgen.stages.synth.config import SynthConfig, simulated_key
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder
from fasgen.stages.synth.stage import Diffusion
from fasgen.training.config import FacesConfig
from fasgen.training.faces import list_faces, load_faces
from fasgen.training.sheet import save_sheet

Images = NDArray[np.uint8]
Vectors = NDArray[np.float32]
LEVELS = (50, 100, 200, 300, 400, 500)
GAMMAS = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
SWEPT = 96


@dataclass(frozen=True)
class Pairs:
    """Live faces and their guides: (N, H, W, 3) each, style keys, names and subjects (N,)."""

    live: Images
    guide: Images
    style: list[str]
    names: list[str]
    subjects: list[str]


class Judge:
    """Identity networks and style encoders: the model's own, and one that the model never met, where there is one."""

    def __init__(self, stage: Diffusion, teacher: Teacher | None, style_judge: StyleEncoder | None) -> None:
        self._network = load_identity(weights_path("embedded")).to(stage.device)
        self._device = stage.device
        self.encoders = {"style": stage.model.style_encoder}
        if style_judge is not None:
            self.encoders["independent style"] = style_judge.to(stage.device)
        self.networks = {"embedded network": self._embed} | ({"independent network": teacher.embeddings} if teacher else {})

    @torch.inference_mode()
    def _embed(self, images: Images) -> Vectors:
        parts = [self._network(to_signed(part, self._device)).embedding.cpu().numpy() for part in _parts(images)]
        return np.concatenate(parts)

    @torch.inference_mode()
    def agreement(self, images: Images, style: Sequence[str]) -> dict[str, dict[str, float]]:
        """By encoder: how often it sees the given style, how probable it thinks it, and what chance would give."""
        return {name: self._agreement(encoder, images, style) for name, encoder in self.encoders.items()}

    def _agreement(self, encoder: StyleEncoder, images: Images, style: Sequence[str]) -> dict[str, float]:
        known = list(encoder.config.styles)
        logits = torch.cat([encoder.logits(to_signed(part, self._device)).float() for part in _parts(images)])
        probabilities = logits.softmax(1).cpu().numpy()
        truth = np.array([known.index(name) if name in known else -1 for name in style])
        inside = truth >= 0
        rows = np.arange(len(truth))[inside]
        return {
            "top1": float((probabilities[inside].argmax(1) == truth[inside]).mean()) if inside.any() else float("nan"),
            "probability": float(probabilities[rows, truth[inside]].mean()) if inside.any() else float("nan"),
            "chance": 1 / len(known),
        }


def measure(
    data: Path,
    out: Path,
    config: SynthConfig,
    *,
    device: str = "cpu",
    subjects: Sequence[str] = SUBJECTS,
    limit: int = 200,
    teacher: Teacher | None = None,
    style_judge: StyleEncoder | None = None,
) -> dict[str, Any]:
    """Synthesise, write ``synthesis.json`` and pictures to ``out``, and return the figures.

    Raises:
        SourceError: the faces are missing.
    """
    stage = Diffusion(config, torch.device(device))
    judge = Judge(stage, teacher, style_judge)
    pairs = make_pairs(data, out, stage, subjects, limit)
    began = time.perf_counter()
    made = synthesise(stage, pairs)
    each = (time.perf_counter() - began) / len(made) * 1e3
    styles = np.array(pairs.style)
    report: dict[str, Any] = {
        "faces": len(made),
        "styles": list(stage.model.styles),
        "t": config.t,
        "gamma": config.gamma,
        "steps": config.steps,
        "sampler": config.sampler,
        "guided_calls": stage.guided_calls,
        "ms_per_image": each,
        "difffas": figures(judge, pairs, made),
        "difffas_by_style": {
            str(name): figures(judge, _only(pairs, styles == name), made[styles == name]) for name in np.unique(styles)
        },
        "reference": {
            "guides": judge.agreement(pairs.guide, pairs.style),
            "live": judge.agreement(pairs.live, pairs.style),
        },
    }
    simulated = simulated_pairs(pairs)
    spoofs = np.stack([s for s, _ in simulated])
    keys = [simulated_key(name) for _, name in simulated]
    report["physical"] = figures(judge, Pairs(pairs.live, pairs.guide, keys, pairs.names, pairs.subjects), spoofs)
    out.mkdir(parents=True, exist_ok=True)
    shown = spread(len(made), 48)
    save_sheet(out / "synthesis.png", [signed(x[shown]) for x in (pairs.live, pairs.guide, made, spoofs)], across=3)
    few = _only(pairs, np.isin(np.arange(len(made)), spread(len(made), SWEPT)))
    report["by_t"] = sweep(judge, config, few, device, [("t", (t, t)) for t in LEVELS])
    report["by_gamma"] = sweep(judge, config, few, device, [("gamma", (g, g)) for g in GAMMAS])
    (out / "synthesis.json").write_text(json.dumps(report, indent=2) + "\n")
    cv2.imwrite(str(out / "synthesis-curves.png"), curves(report))
    return report


def make_pairs(data: Path, out: Path, stage: Diffusion, subjects: Sequence[str], limit: int) -> Pairs:
    """Held-out live faces, each with a guide of one of the styles that the weights know."""
    _, held = list_faces(FacesConfig.model_validate({"path": data / CELEBRITIES, "size": 112, "holdout": tuple(subjects)}))
    faces = [held[i] for i in spread(len(held), limit)]
    live = np.ascontiguousarray(load_faces(faces, 112).permute(0, 2, 3, 1).numpy())
    known = [name for name in STYLES if simulated_key(name) in stage.known]
    real = real_guides(data, out, stage)
    choices = [("simulated", name) for name in known] + [("real", key) for key in sorted(real)]
    if not choices:
        raise SourceError("the weights know neither a simulated style nor one of the data's")
    guide, style = [], []
    for i, face in enumerate(faces):
        kind, name = choices[i % len(choices)]
        seed = sample_seed(0, "guide", face.name)
        if kind == "real":
            pool = real[name]
            guide.append(pool[seed % len(pool)])
            style.append(name)
        else:
            others = [j for j, other in enumerate(faces) if other.subject != face.subject]
            guide.append(simulate(live[others[seed % len(others)]], name, seed, stage.config.physical).image)
            style.append(simulated_key(name))
    return Pairs(live, np.stack(guide), style, [f.name for f in faces], [f.subject for f in faces])


def real_guides(data: Path, out: Path, stage: Diffusion) -> dict[str, Images]:
    """Attacks of the data by style key, those that the weights know. The keys are those of `examples/train-embedded.yaml`."""
    found: dict[str, Images] = {}
    replays = kept(data, out, "replays", list_replays)
    domains = np.array([name.split("/")[1] for name in replays.names.tolist()])
    for domain in np.unique(domains):
        key = f"replay|{domain}|replay"
        if key in stage.known:
            found[key] = replays.images[replays.spoof & (domains == domain)]
    photographs = kept(data, out, "photographs", list_photographs)
    if "celebaspoof|celeba|photo" in stage.known:
        found["celebaspoof|celeba|photo"] = photographs.images[photographs.spoof]
    return found


def kept(data: Path, out: Path, name: str, pictures: Any) -> Crops:
    """Aligned crops as the embedded weights saw them, cut once and kept in ``out``."""
    return cut_once(out / f"{name}.npz", data, pictures, "cpu", name, detect_side=640)


def samples(pairs: Pairs, batch: int) -> list[Sample]:
    """The pairs as the stage receives them."""
    return [
        Sample(
            name,
            sample_seed(0, "synth", name, 1),
            i % batch,
            images={"crop": pairs.live[i], "guide_crop": pairs.guide[i]},
            # The guide is rendered already; the stage must take it as it is.
            values={"style": pairs.style[i], "simulation": None, "guide_unit": 0, "guide_row": i, "place": i},
            variant=1,
        )
        for i, name in enumerate(pairs.names)
    ]


def synthesise(stage: Diffusion, pairs: Pairs) -> Images:
    """One spoof a pair."""
    made, batch = [], stage.batch
    ready = samples(pairs, batch)
    for first in range(0, len(ready), batch):
        for outcome in stage(ready[first : first + batch]):
            if not isinstance(outcome, Product):
                raise SourceError(f"a spoof was rejected: {outcome.reason.value}, {outcome.detail}")
            made.append(outcome.images["crop"])
    return np.stack(made)


def simulated_pairs(pairs: Pairs) -> list[tuple[Images, str]]:
    """Each live face under the simulation, styles in turn."""
    config = SynthConfig().physical
    out = []
    for i, name in enumerate(pairs.names):
        style = STYLES[i % len(STYLES)]
        out.append((simulate(pairs.live[i], style, sample_seed(0, "physical", name), config).image, style))
    return out


def figures(judge: Judge, pairs: Pairs, made: Images) -> dict[str, Any]:
    """Identity against parent and guide, and style agreement."""
    found: dict[str, Any] = {"count": len(made), **judge.agreement(made, pairs.style)}
    for name, embed in judge.networks.items():
        live, guide, spoof = (embed(x) for x in (pairs.live, pairs.guide, made))
        to_live, to_guide = (spoof * live).sum(1), (spoof * guide).sum(1)
        found[name] = {
            "nearer_to_parent": float((to_live > to_guide).mean()),
            "to_parent": Distribution.of(to_live).to_dict(),
            "to_guide": Distribution.of(to_guide).to_dict(),
        }
    return found


def sweep(
    judge: Judge, config: SynthConfig, pairs: Pairs, device: str, settings: Sequence[tuple[str, Any]]
) -> list[dict[str, float]]:
    """Style and identity at fixed values of one setting, the other in the middle of its range."""
    middle = {"t": (sum(config.t) // 2,) * 2, "gamma": (sum(config.gamma) / 2,) * 2}
    points = []
    for name, value in settings:
        stage = Diffusion(config.model_copy(update=middle | {name: value}), torch.device(device))
        made = synthesise(stage, pairs)
        embed = judge.networks["embedded network"]
        similarity = float((embed(made) * embed(pairs.live)).sum(1).mean())
        style = judge.agreement(made, pairs.style)["style"]
        points.append({name: float(value[0]), "identity": similarity, "top1": style["top1"], "style": style["probability"]})
    return points


def curves(report: Mapping[str, Any]) -> Images:
    """Style probability and identity similarity over t and over gamma, side by side."""
    return np.concatenate([_plot(report["by_t"], "t"), _plot(report["by_gamma"], "gamma")], 1)


def _plot(points: Sequence[Mapping[str, float]], name: str) -> Images:
    width, height, margin, font = 460, 320, 46, cv2.FONT_HERSHEY_SIMPLEX
    canvas = np.full((height, width, 3), 255, np.uint8)
    x = np.array([p[name] for p in points])
    px = margin + (x - x.min()) / max(float(np.ptp(x)), 1e-9) * (width - 2 * margin)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        row = int(height - margin - share * (height - 2 * margin))
        cv2.line(canvas, (margin, row), (width - margin, row), (225, 225, 225), 1)
        cv2.putText(canvas, f"{share:.2f}", (6, row + 4), font, 0.38, (110, 110, 110), 1, cv2.LINE_AA)
    for at, value in zip(px, x, strict=True):
        cv2.putText(canvas, f"{value:g}", (int(at) - 10, height - margin + 18), font, 0.38, (110, 110, 110), 1, cv2.LINE_AA)
    cv2.putText(canvas, name, (width // 2 - 10, height - 8), font, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    for number, (key, told, colour) in enumerate(
        (("style", "probability of the style", (40, 90, 200)), ("identity", "identity similarity", (150, 90, 20)))
    ):
        y = np.array([p[key] for p in points]).clip(0, 1)
        py = height - margin - y * (height - 2 * margin)
        line = np.stack([px, py], 1).round().astype(np.int32)
        cv2.polylines(canvas, [line], False, colour, 2, cv2.LINE_AA)
        for point in line:
            cv2.circle(canvas, (int(point[0]), int(point[1])), 3 + 2 * number, colour, -1, cv2.LINE_AA)
        cv2.putText(canvas, told, (margin + 4 + 190 * number, 26), font, 0.42, colour, 1, cv2.LINE_AA)
    return canvas


def text(report: Mapping[str, Any]) -> str:
    """The report as text."""
    rows = [["", "n", "nearer to parent", "to parent", "to guide", "style top-1", "probability", "independent"]]

    def row(name: str, found: Mapping[str, Any], network: str) -> list[str]:
        who = found[network]
        numbers = (who["nearer_to_parent"], who["to_parent"]["mean"], who["to_guide"]["mean"])
        style = found["style"]
        return [
            name,
            str(found["count"]),
            *(f"{v:.3f}" for v in numbers),
            f"{style['top1']:.3f}",
            f"{style['probability']:.3f}",
            f"{found['independent style']['top1']:.3f}" if "independent style" in found else "",
        ]

    networks = [name for name in report["difffas"] if "network" in name]
    for network in networks:
        rows.append(row(f"DiffFAS, {network}", report["difffas"], network))
        rows.append(row(f"simulation, {network}", report["physical"], network))
    rows += [row(f"DiffFAS, {style}", found, networks[0]) for style, found in report["difffas_by_style"].items()]
    reference = {name: found["style"] for name, found in report["reference"].items()}
    independent = {name: found.get("independent style") for name, found in report["reference"].items()}
    lines = [
        f"{report['faces']} faces, {len(report['styles'])} styles, t {report['t']}, gamma {report['gamma']}, "
        f"{report['sampler']}, {report['steps']} calls, {report['guided_calls']} of them guided, "
        f"{report['ms_per_image']:.0f} ms an image",
        text_table(rows),
        f"style top-1 by chance {reference['guides']['chance']:.3f}, of the guides {reference['guides']['top1']:.3f}, "
        f"of the live faces {reference['live']['top1']:.3f}"
        + (
            f"; by the independent encoder {independent['guides']['top1']:.3f} and {independent['live']['top1']:.3f}"
            if independent["guides"] and independent["live"]
            else ""
        ),
        "the simulation has no guide: similarity 'to guide' is to another person's picture",
    ]
    for name in ("t", "gamma"):
        told = ", ".join(f"{p[name]:g}: {p['style']:.2f} / {p['identity']:.2f}" for p in report[f"by_{name}"])
        lines.append(f"style probability / identity by {name}: {told}")
    return "\n".join(lines)


def _only(pairs: Pairs, chosen: NDArray[np.bool_]) -> Pairs:
    indices = np.flatnonzero(chosen).tolist()
    return Pairs(
        pairs.live[chosen],
        pairs.guide[chosen],
        [pairs.style[i] for i in indices],
        [pairs.names[i] for i in indices],
        [pairs.subjects[i] for i in indices],
    )


def _parts(images: Images) -> list[Images]:
    return [images[i : i + 64] for i in range(0, len(images), 64)]


def signed(images: Images) -> torch.Tensor:
    """Pictures (N, H, W, 3) uint8 as (N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
