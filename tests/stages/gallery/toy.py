"""Faces, a store of crops and a simulation, all generated."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.stages.gallery.train_simulation import Simulate
from fasgen.stages.gallery.training_config import SimulationConfig

HASH = "12345678" * 8


def picture(seed: int, size: int = 32) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def faces_folder(folder: Path, each: int = 4) -> Path:
    for number, subject in enumerate(("ann", "bob", "eve")):
        (folder / subject).mkdir(parents=True, exist_ok=True)
        for i in range(each):
            cv2.imwrite(str(folder / subject / f"{i}.png"), picture(10 * number + i))
    return folder


def toy_physical(config: SimulationConfig) -> tuple[tuple[str, ...], Simulate]:
    """Two styles, each with one parameter drawn from the seed."""

    def simulate(image: NDArray[np.uint8], style: str, seed: int) -> NDArray[np.uint8]:
        amount = np.random.default_rng(seed).uniform(0.3, 0.7)
        if style == "dark":
            return (image * amount).astype(np.uint8)
        out = image.copy()
        out[::4] = (out[::4] * amount).astype(np.uint8)
        return out

    return config.styles or ("dark", "striped"), simulate


def crop_store(store: Path, size: int) -> Path:
    """A store with aligned crops: three people with live faces and prints by one phone, and others that lack something."""
    rows: list[tuple[str | None, str, str]] = []
    for subject in ("d/ann", "d/bob", "d/eve"):
        rows += [(subject, "live", "phone")] * 2 + [(subject, "spoof", "phone")] * 2
    rows += [("d/ann", "spoof", "tablet"), ("d/cid", "spoof", "phone"), (None, "spoof", "phone"), ("d/bob", "unknown", "phone")]
    folder = store / "align-12345678"
    write_plan(folder, {"stage": "align", "plan_hash": HASH, "lanes": ["photographed"], "picture": "crop"})
    with UnitWriter(folder, 0, columns=(), arrays={}, plan_hash=HASH, weights="w") as writer:
        for i, (subject, label, device) in enumerate(rows):
            attack = "print" if label == "spoof" else None
            provenance = {
                "dataset": "d", "path": f"{i}.png", "label": label, "subject": subject, "device": device,
                "attack_type": attack, "domain": f"d|{device}|{attack or label}", "attack_family": attack,
            }  # fmt: skip
            row = Row(f"{i:016x}", i, 0, 0, (), provenance)
            writer.ok(row, images={"crop": picture(100 + i, size)}, arrays={}, files={}, values={})
        writer.commit(len(rows))
    return store
