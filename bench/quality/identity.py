"""Does the reconstruction show the same person? Identity of input and reconstruction on faces the generator never saw.

Five distributions of cosine similarity are set side by side, by the network that conditions the generator and, where one is
given, by a network that it never saw:

* *own reconstruction*: an image and its own reconstruction;
* *another's reconstruction*: an image and the reconstruction of another person's image (all such pairs), the chance level;
* *same person's reconstruction*: an image and the reconstruction of another photograph of the same person;
* *two photographs, same person* and *two people*: real images only, what the network itself can tell;
* *autoencoder alone*: an image and its passage through the autoencoder (t = 0), the most that a latent generator could keep.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.quality.generator import Generator, Settings, walk_name
from bench.quality.live import SUBJECTS, LiveSet, live_faces, spread
from bench.quality.metrics import QUANTILES, Distribution, auc, psnr, text_table
from bench.quality.teacher import Teacher
from fasgen.training.sheet import save_sheet

SHOWN = 24

Vectors = NDArray[np.float32]


def similarities(x: Vectors, y: Vectors, alone: Vectors, subjects: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Cosines by kind of pair.

    Args:
        x: unit embeddings (N, E) of the inputs.
        y: of their reconstructions.
        alone: of their passages through the autoencoder.
        subjects: (N,) names; at least two different ones.
    """
    same = subjects[:, None] == subjects[None]
    itself = np.eye(len(x), dtype=bool)
    later = np.triu(np.ones_like(same), 1)
    made, real = x @ y.T, x @ x.T
    return {
        "own reconstruction": made[itself],
        "another's reconstruction": made[~same],
        "same person's reconstruction": made[same & ~itself],
        "two photographs, same person": real[same & later],
        "two people": real[~same & later],
        "autoencoder alone": (x * alone).sum(1),
    }


def figures(cosines: dict[str, NDArray[np.float32]]) -> dict[str, Any]:
    """Distributions, and the AUC of what belongs together against what does not."""
    own, other = cosines["own reconstruction"], cosines["another's reconstruction"]
    same, people = cosines["two photographs, same person"], cosines["two people"]
    cut = float(np.percentile(other, 99))
    return {
        "distributions": {name: Distribution.of(values).to_dict() for name, values in cosines.items() if values.size},
        "auc_own_against_another": auc(own, other),
        "auc_same_person_against_two_people": auc(same, people) if same.size else None,
        "share_above_99th_percentile_of_another": float((own > cut).mean()),
    }


def table(found: dict[str, Any]) -> str:
    """The distributions of one network as text."""
    rows = [["", "pairs", "mean", "sd", *(f"{q} %" for q in QUANTILES)]]
    for name, d in found["distributions"].items():
        rows.append([name, str(d["count"]), *(f"{v:.3f}" for v in (d["mean"], d["sd"], *d["quantiles"].values()))])
    ceiling = found["auc_same_person_against_two_people"]
    return (
        text_table(rows)
        + f"\nAUC, own against another's reconstruction: {found['auc_own_against_another']:.4f}"
        + (f"; two photographs of one person against two people: {ceiling:.4f}" if ceiling is not None else "")
        + f"\nown reconstructions above the 99th percentile of another's: {found['share_above_99th_percentile_of_another']:.1%}"
    )


def measure(
    data: Path,
    out: Path,
    settings: Settings,
    *,
    faces: LiveSet = "celebrities",
    subjects: Sequence[str] = SUBJECTS,
    limit: int | None = None,
    teacher: Teacher | None = None,
) -> dict[str, Any]:
    """Reconstruct live faces, write ``identity-<faces>.json`` and ``.png`` to ``out``, and return the figures.

    The sheet shows face, reconstruction and residual (grey is none), side by side.

    Args:
        data: folder of the data sets.
        out: folder to write to; it will hold rendered faces.
        settings: the generator.
        faces: which of `bench.quality.live`'s sets.
        subjects: of celebrities, who; two at least, none of them used in training.
        limit: use so many faces, evenly spread.
        teacher: independent network.

    Raises:
        SourceError: the faces are missing.
    """
    shown = live_faces(faces, data, out, subjects=subjects, device=settings.device, limit=limit)
    crops, who = shown.crops, shown.subjects
    generator = Generator(settings)
    made = generator.reconstruct(crops, shown.names, told=faces)
    alone = generator.reconstruct(crops, shown.names, 0)
    networks = {"conditioning network": generator.embeddings} | ({"independent network": teacher.embeddings} if teacher else {})
    report: dict[str, Any] = {
        "set": faces,
        "faces": len(crops),
        "people": len(set(who.tolist())),
        "t": settings.defake.t,
        "walk": walk_name(settings.defake),
        "calls": made.calls,
        "ms_per_image": made.milliseconds,
        "psnr": Distribution.of(psnr(crops, made.images)).to_dict(),
        "psnr_autoencoder_alone": Distribution.of(psnr(crops, alone.images)).to_dict(),
        "networks": {
            name: figures(similarities(embed(crops), embed(made.images), embed(alone.images), who))
            for name, embed in networks.items()
        },
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / f"identity-{faces}.json").write_text(json.dumps(report, indent=2) + "\n")
    few = spread(len(crops), SHOWN)
    before, after = _signed(crops[few]), _signed(made.images[few])
    save_sheet(out / f"identity-{faces}.png", [before, after, (before - after).clamp(-1, 1)], across=6)
    return report


def text(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [
        f"{report['set']}: {report['faces']} faces of {report['people']} people, t = {report['t']}, {report['walk']}, "
        f"{report['ms_per_image']:.1f} ms an image",
        f"PSNR {report['psnr']['mean']:.2f} dB (sd {report['psnr']['sd']:.2f}); "
        f"autoencoder alone {report['psnr_autoencoder_alone']['mean']:.2f} dB",
    ]
    for name, found in report["networks"].items():
        lines += ["", f"cosine similarity by the {name}", table(found)]
    return "\n".join(lines)


def _signed(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
