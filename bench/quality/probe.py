"""Does the cue help to tell attacks? One light probe on the image, on the cue, and on both.

The probe is logistic regression on standardised features that are not learned (`bench.quality.features`). What is left out is
always a whole group: a domain of the replays, a fifth of the photographs in order of their numbers, because neighbours show the
same person, or a person before the webcam. Two trivial cues are probed beside that of the generator, in place of it and with
just as many features: what a Gaussian low pass takes away, and what the generator's autoencoder alone does not give back. What
the image plus the cue gains over the image plus one of these is what the diffusion adds.

``image + cue`` is one probe on the features of both. ``image | cue`` is the mean of two probes' scores, each standardised over
what it was trained on: with a handful of domains to learn from, twice the features cost a single probe more than they bring.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.quality.crops import Crops, counts, cut_once, list_photographs, list_replays, list_webcam
from bench.quality.features import features
from bench.quality.generator import Generator, Settings, walk_name
from bench.quality.live import spread
from bench.quality.metrics import auc, text_table

Floats = NDArray[np.float32]
Names = NDArray[np.str_]

IMAGE, CUE, AUTOENCODER, LOW_PASS = "image", "cue", "autoencoder residual", "low-pass residual"
SIGMA = 2.0
"""Standard deviation of the trivial cue's Gaussian, pixels of a 112 px crop."""

PENALTIES = (1.0, 0.01, 0.1, 10.0)

LISTINGS = {"replays": list_replays, "photographs": list_photographs, "webcam": list_webcam}
PROTOCOLS = {
    "replays": "leave one domain out, or all of one person",
    "photographs": "five contiguous folds",
    "webcam": "leave one person out",
}


def residual(images: NDArray[np.uint8], reconstructions: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Image less reconstruction (N, H, W, 3), in levels."""
    return images.astype(np.int16) - reconstructions.astype(np.int16)


def low_pass(images: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Images (N, H, W, 3) less their Gaussian blur, in levels."""
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), SIGMA, borderType=cv2.BORDER_REFLECT_101) for image in images])
    return residual(images, blurred)


def feature_sets(images: NDArray[np.uint8], cues: Mapping[str, NDArray[np.int16]]) -> dict[str, tuple[Floats, ...]]:
    """What is probed: the image alone, each cue alone, and the image with each cue, in one probe (+) and in two (|).

    Args:
        images: (N, H, H, 3).
        cues: residuals (N, H, H, 3) by name.

    Returns:
        by name, features (N, F) of each probe whose scores are averaged.
    """
    plain = features(images)
    alone = {name: features(cue) for name, cue in cues.items()}
    sets: dict[str, tuple[Floats, ...]] = {IMAGE: (plain,)}
    sets |= {name: (seen,) for name, seen in alone.items()}
    sets |= {f"{IMAGE} + {name}": (np.concatenate([plain, seen], 1),) for name, seen in alone.items()}
    sets |= {f"{IMAGE} | {name}": (plain, seen) for name, seen in alone.items()}
    return sets


def leave_one_out(seen: Sequence[Floats], spoof: NDArray[np.bool_], groups: Names, c: float) -> dict[str, float]:
    """AUC on each group of probes trained on all others.

    Args:
        seen: features (N, F) of each probe; the mean of their standardised scores is judged.
        spoof: (N,) labels.
        groups: (N,) names; groups that do not hold both kinds are not scored.
        c: inverse strength of the probes' L2 penalty.
    """
    found = {}
    for group in np.unique(groups):
        held = groups == group
        if len(np.unique(spoof[held])) < 2 or len(np.unique(spoof[~held])) < 2:
            continue
        scores = np.sum([_scores(part[~held], spoof[~held], part[held], c) for part in seen], 0)
        found[str(group)] = auc(scores[spoof[held]], scores[~spoof[held]])
    return found


def _scores(seen: Floats, spoof: NDArray[np.bool_], others: Floats, c: float) -> NDArray[np.float64]:
    """Scores of ``others``, higher is more of an attack, in deviations of the scores of what the probe was trained on."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000, class_weight="balanced"))
    probe.fit(seen, spoof)
    known = np.asarray(probe.decision_function(seen), np.float64)
    out: NDArray[np.float64] = (np.asarray(probe.decision_function(others)) - known.mean()) / max(float(known.std()), 1e-12)
    return out


def compare(
    sets: Mapping[str, Sequence[Floats]], spoof: NDArray[np.bool_], groups: Names, penalties: Sequence[float]
) -> dict[str, Any]:
    """Every feature set under one protocol.

    Args:
        sets: as `feature_sets` gives them; the image alone is among them.
        spoof: (N,) labels.
        groups: (N,) names.
        penalties: inverse strengths of the L2 penalty. The first is the one reported on; of the others, the means are.

    Returns:
        by name: AUC by group, mean and deviation, and the same of the gain over the image alone, group by group.
    """
    report: dict[str, Any] = {}
    for name, seen in sets.items():
        by_group = leave_one_out(seen, spoof, groups, penalties[0])
        others = {c: list(leave_one_out(seen, spoof, groups, c).values()) for c in penalties[1:]}
        report[name] = {
            "features": sum(part.shape[1] for part in seen),
            "auc": by_group,
            **_spread(list(by_group.values()), "mean", "sd"),
            "mean_by_c": {str(c): float(np.mean(values)) for c, values in others.items()},
        }
    base = np.array(list(report[IMAGE]["auc"].values()))
    for row in report.values():
        gain = np.array(list(row["auc"].values())) - base
        row |= _spread(gain.tolist(), "gain", "gain_sd") | {"groups_better": int((gain > 0).sum())}
    return report


def _spread(values: Sequence[float], mean: str, sd: str) -> dict[str, float]:
    return {mean: float(np.mean(values)), sd: float(np.std(values, ddof=1)) if len(values) > 1 else 0.0}


def measure(
    data: Path,
    out: Path,
    settings: Settings,
    *,
    limit: int | None = None,
    penalties: Sequence[float] = PENALTIES,
    generator: bool = True,
) -> dict[str, Any]:
    """Probe the data sets, write ``probe.json`` to ``out``, and return the figures.

    Crops and reconstructions are kept in ``out`` and used again where data set, weights and settings are the same.

    Args:
        data: folder that holds the data sets.
        out: folder to write to; it will hold crops and reconstructions.
        settings: the generator.
        limit: use so many crops of each data set, evenly spread.
        penalties: inverse strengths of the probes' L2 penalty, the one reported on first.
        generator: false leaves the generator's own cue out and probes the trivial ones alone.
    """
    walk = settings.defake
    report: dict[str, Any] = {"t": walk.t, "walk": walk_name(walk), "c": penalties[0], "protocols": {}}
    for name in LISTINGS:
        crops = aligned(data, out, name, settings.device)
        missed = counts(line.rsplit("/", 1)[0] for line in crops.missed)
        pictures = len(crops.images) + len(crops.missed)
        crops = crops.only(spread(len(crops.images), limit))
        residuals = {CUE: _residuals(crops, out, name, settings)} if generator else {}
        residuals[AUTOENCODER] = _residuals(crops, out, name, settings.walking(t=0))
        residuals[LOW_PASS] = low_pass(crops.images)
        report["protocols"][name] = {
            "protocol": PROTOCOLS[name],
            "pictures": pictures,
            "missed": missed,
            "crops": counts(f"{g} {'spoof' if s else 'live'}" for g, s in zip(crops.groups, crops.spoof, strict=True)),
            "sets": compare(feature_sets(crops.images, residuals), crops.spoof, crops.groups, penalties),
        }
    out.mkdir(parents=True, exist_ok=True)
    (out / "probe.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def aligned(data: Path, out: Path, name: str, device: str) -> Crops:
    """The crops of one data set, cut once and kept in ``out``."""
    return cut_once(out / f"crops-{name}.npz", data, LISTINGS[name], device, name)


def _residuals(crops: Crops, out: Path, name: str, settings: Settings) -> NDArray[np.int16]:
    """Cues (N, H, W, 3), reconstructed where ``out`` does not hold them yet."""
    path = out / f"reconstructions-{name}-{len(crops.names)}-{settings.key()}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as f:
            names, images = f["names"], f["images"]
        if np.array_equal(names, crops.names):
            return residual(crops.images, images)
    made = Generator(settings).reconstruct(crops.images, crops.names.tolist(), told=f"{name}, t = {settings.defake.t}")
    np.savez(path, images=made.images, names=crops.names)
    return residual(crops.images, made.images)


def text(report: dict[str, Any]) -> str:
    """The report as text: one table a protocol."""
    lines = [f"logistic regression, C = {report['c']:g}; cue at t = {report['t']}, {report['walk']}"]
    for name, found in report["protocols"].items():
        missed = ", ".join(f"{n} of {place}" for place, n in found["missed"].items()) or "none"
        crops = sum(found["crops"].values())
        lines += [
            "",
            f"{name}: {found['protocol']}; {crops} crops; {found['pictures']} pictures, faces missed: {missed}",
            text_table(_table(found["sets"])),
        ]
    return "\n".join(lines)


def _table(sets: dict[str, Any]) -> list[list[str]]:
    groups, others = list(sets[IMAGE]["auc"]), list(sets[IMAGE]["mean_by_c"])
    rows = [["AUC", "features", *groups, "mean", "sd", "gain", "sd", "better", *(f"mean, C = {float(c):g}" for c in others)]]
    for label, row in sets.items():
        cells = [f"{row[key]:.3f}" for key in ("mean", "sd")]
        gain = [f"{row['gain']:+.3f}", f"{row['gain_sd']:.3f}", f"{row['groups_better']}/{len(groups)}"]
        cells += ["", "", ""] if label == IMAGE else gain
        cells += [f"{row['mean_by_c'][c]:.3f}" for c in others]
        rows.append([label, str(row["features"]), *(f"{row['auc'][group]:.3f}" for group in groups), *cells])
    return rows
