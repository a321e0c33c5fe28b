"""Does the cue help to tell attacks? One light probe on the image, on the cue, and on both.

The probe is logistic regression on standardised features that are not learned (`bench.quality.features`). What is left out is
always a whole group: a domain of the replays, or a fifth of the photographs in order of their numbers, because neighbours show
the same person. Two trivial cues are probed beside that of the generator, in place of it and with just as many features: what
a Gaussian low pass takes away, and what the generator's autoencoder alone does not give back. What the image plus the cue
gains over the image plus one of these is what the diffusion adds.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.quality.crops import Crops, align, counts, list_photographs, list_replays
from bench.quality.features import cross, features
from bench.quality.generator import Generator, Settings
from bench.quality.identity import spread
from bench.quality.metrics import auc, text_table
from fasgen.manifests.weights import digest_weights
from fasgen.stages.defake.config import SPEC, DefakeConfig
from fasgen.stages.identify.config import weights_path

Floats = NDArray[np.float32]
Fields = NDArray[np.str_]

IMAGE, CUE, AUTOENCODER, LOW_PASS = "image", "cue", "autoencoder residual", "low-pass residual"
SIGMA = 2.0
"""Standard deviation of the trivial cue's Gaussian, pixels of a 112 px crop."""

LISTINGS = {"replays": list_replays, "photographs": list_photographs}
PROTOCOLS = {"replays": "leave one domain out", "photographs": "five contiguous folds"}


def low_pass(images: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Images (N, H, W, 3) less their Gaussian blur, in levels."""
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), SIGMA, borderType=cv2.BORDER_REFLECT_101) for image in images])
    return images.astype(np.int16) - blurred.astype(np.int16)


def feature_sets(images: NDArray[np.uint8], cues: Mapping[str, NDArray[np.int16]]) -> dict[str, Floats]:
    """What each probe sees: the image alone, each cue alone, the image with each cue, and with the cue and its best rival.

    Args:
        images: (N, H, H, 3).
        cues: residuals (N, H, H, 3) by name.

    Returns:
        features (N, F) by name. With a cue come its own features and its correlations with the image.
    """
    plain = features(images)
    alone = {name: features(cue) for name, cue in cues.items()}
    both = {name: np.concatenate([alone[name], cross(images, cue)], 1) for name, cue in cues.items()}
    sets = {IMAGE: plain, **alone, **{f"{IMAGE} + {name}": np.concatenate([plain, both[name]], 1) for name in cues}}
    if CUE in cues and AUTOENCODER in cues:
        sets[f"{IMAGE} + {AUTOENCODER} + {CUE}"] = np.concatenate([plain, both[AUTOENCODER], both[CUE]], 1)
    return sets


def leave_one_out(seen: Floats, spoof: NDArray[np.bool_], groups: Fields, c: float) -> dict[str, float]:
    """AUC on each group of a probe trained on all others.

    Args:
        seen: features (N, F).
        spoof: (N,) labels.
        groups: (N,) names; groups that do not hold both kinds are not scored.
        c: inverse strength of the probe's L2 penalty.
    """
    found = {}
    for group in np.unique(groups):
        held = groups == group
        if len(np.unique(spoof[held])) < 2 or len(np.unique(spoof[~held])) < 2:
            continue
        scores = _fitted(seen[~held], spoof[~held], c)(seen[held])
        found[str(group)] = auc(scores[spoof[held]], scores[~spoof[held]])
    return found


def _fitted(seen: Floats, spoof: NDArray[np.bool_], c: float) -> Callable[[Floats], NDArray[np.float64]]:
    """Scores of a probe trained on these: higher is more of an attack."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=3000, class_weight="balanced"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        probe.fit(seen, spoof)
    return lambda others: np.asarray(probe.decision_function(others), np.float64)


def compare(sets: Mapping[str, Floats], spoof: NDArray[np.bool_], groups: Fields, c: float) -> dict[str, Any]:
    """Every feature set under one protocol: AUC by group, mean, spread, and the gain over the image alone, group by group."""
    found = {name: leave_one_out(seen, spoof, groups, c) for name, seen in sets.items()}
    base = np.array(list(found[IMAGE].values()))
    report = {}
    for name, by_group in found.items():
        values = np.array(list(by_group.values()))
        gain = values - base
        report[name] = {
            "features": int(sets[name].shape[1]),
            "auc": by_group,
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "gain": float(gain.mean()),
            "gain_sd": float(gain.std(ddof=1)) if len(values) > 1 else 0.0,
            "groups_better": int((gain > 0).sum()),
        }
    return report


def measure(
    data: Path, out: Path, settings: Settings, *, limit: int | None = None, c: float = 1.0, generator: bool = True
) -> dict[str, Any]:
    """Probe both data sets, write ``probe.json`` to ``out``, and return the figures.

    Crops and reconstructions are kept in ``out`` and used again where data set, weights and settings are the same.

    Args:
        data: folder that holds ``replay_domains`` and ``celeba_spoof_dev``.
        out: folder to write to; it will hold crops and reconstructions.
        settings: the generator.
        limit: use so many crops of each data set, evenly spread.
        c: inverse strength of the probe's L2 penalty.
        generator: false leaves the generator's own cue out and probes the trivial ones alone.
    """
    report: dict[str, Any] = {"t": settings.t, "steps": settings.steps, "c": c, "protocols": {}}
    for name in LISTINGS:
        crops = _crops(data, out, name, settings.device)
        missed = counts(line.rsplit("/", 1)[0] for line in crops.missed)
        pictures = len(crops.images) + len(crops.missed)
        crops = crops.only(spread(len(crops.images), limit))
        residuals = {CUE: _residuals(crops, out, name, settings, settings.t)} if generator else {}
        residuals[AUTOENCODER] = _residuals(crops, out, name, settings, 0)
        residuals[LOW_PASS] = low_pass(crops.images)
        report["protocols"][name] = {
            "protocol": PROTOCOLS[name],
            "pictures": pictures,
            "missed": missed,
            "crops": counts(f"{g} {'spoof' if s else 'live'}" for g, s in zip(crops.groups, crops.spoof, strict=True)),
            "sets": compare(feature_sets(crops.images, residuals), crops.spoof, crops.groups, c),
        }
    out.mkdir(parents=True, exist_ok=True)
    (out / "probe.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def _crops(data: Path, out: Path, name: str, device: str) -> Crops:
    path = out / f"crops-{name}.npz"
    if not path.exists():
        align(data, LISTINGS[name](data), device, name).save(path)
    return Crops.load(path)


def _residuals(crops: Crops, out: Path, name: str, settings: Settings, t: int) -> NDArray[np.int16]:
    """Cues (N, H, W, 3) at strength ``t``, reconstructed where ``out`` does not hold them yet."""
    path = out / f"reconstructions-{name}-{len(crops.names)}-{_key(settings, t)}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as f:
            if np.array_equal(f["names"], crops.names):
                return crops.images.astype(np.int16) - f["images"].astype(np.int16)
    made = Generator(settings).reconstruct(crops.images, crops.names.tolist(), t, told=f"{name}, t = {t}")
    np.savez(path, images=made.images, names=crops.names)
    return crops.images.astype(np.int16) - made.images.astype(np.int16)


def _key(settings: Settings, t: int) -> str:
    """Of the weights and settings that decide the reconstructions; at t = 0 those of the autoencoder alone."""
    paths = SPEC.weights(DefakeConfig(weights=settings.weights)) | {"identity": weights_path(settings.identity)}
    if t == 0:
        return f"{digest_weights({'vae': paths['vae']})['vae'][:8]}-t0"
    digests = "".join(digest[:4] for digest in digest_weights(paths).values())
    return f"{digests}-t{t}-{settings.steps}"


def text(report: dict[str, Any]) -> str:
    """The report as text: one table a protocol."""
    lines = [f"logistic regression, C = {report['c']:g}; cue at t = {report['t']} on a grid of {report['steps']}"]
    for name, found in report["protocols"].items():
        sets = found["sets"]
        groups = list(sets[IMAGE]["auc"])
        missed = ", ".join(f"{n} of {place}" for place, n in found["missed"].items()) or "none"
        rows = [["AUC", "features", *groups, "mean", "sd", "gain", "sd", "better"]]
        for label, row in sets.items():
            aucs = [f"{row['auc'][group]:.3f}" for group in groups]
            gains = ["", "", ""] if label == IMAGE else [f"{row['gain']:+.3f}", f"{row['gain_sd']:.3f}", f"{row['groups_better']}/{len(groups)}"]
            rows.append([label, str(row["features"]), *aucs, f"{row['mean']:.3f}", f"{row['sd']:.3f}", *gains])
        crops = sum(found["crops"].values())
        lines += ["", f"{name}: {found['protocol']}; {crops} crops; {found['pictures']} pictures, faces missed: {missed}", text_table(rows)]
    return "\n".join(lines)
