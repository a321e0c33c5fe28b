"""The measurement of a cue's score, on crops whose scores are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.quality.crops import Crops
from bench.quality.cue_map import measure, text
from bench.quality.probe import LISTINGS
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.lgsc.stage import Lgsc
from fasgen.stages.network_folder import save_network
from fasgen.stages.stage import Product, Reject, Sample
from tests.stages.lgsc.tiny import generator


def test_each_domain_has_its_area(tmp_path: Path) -> None:
    network = generator(norm="batch")
    save_network(network, network.config, tmp_path / "weights")
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    # Each attack is the very picture of a live face: a tie, wherever the score lies.
    images = np.concatenate([images, images])
    spoof, groups = np.repeat([False, True], 6), np.tile(np.repeat(["a", "b"], 3), 2)
    crops = Crops(images, np.arange(12).astype(np.str_), spoof, groups, ())
    for name in LISTINGS:
        crops.save(tmp_path / "out" / f"crops-{name}.npz")
    stage = Lgsc(LgscConfig(weights=str(tmp_path / "weights"), batch=4), torch.device("cpu"))
    rows = measure(tmp_path, tmp_path / "out", stage, "lgsc_score", 4, spoof_is_high=True, device="cpu")
    assert [(row.data_set, row.group, row.live, row.spoof) for row in rows] == [
        (name, group, count, count) for name in LISTINGS for group, count in (("a", 3), ("b", 3), ("", 6))
    ]
    assert all(row.area == pytest.approx(0.5) and row.live_score == pytest.approx(row.spoof_score) for row in rows)
    assert "| replays | a | 3, 3 | 0.500 |" in text(rows)


def test_the_area_is_of_the_side_that_attacks_should_be_on(tmp_path: Path) -> None:
    bright, dark = np.full((4, 32, 32, 3), 200, np.uint8), np.full((4, 32, 32, 3), 20, np.uint8)
    images = np.concatenate([bright, dark])
    crops = Crops(images, np.arange(8).astype(np.str_), np.repeat([False, True], 4), np.repeat("a", 8), ())
    for name in LISTINGS:
        crops.save(tmp_path / f"crops-{name}.npz")

    def brightness(batch: Sequence[Sample]) -> list[Product | Reject]:
        return [Product(values={"brightness": float(sample.images["crop"].mean())}) for sample in batch]

    for spoof_is_high, area in ((True, 0.0), (False, 1.0)):
        rows = measure(tmp_path, tmp_path, brightness, "brightness", 3, spoof_is_high=spoof_is_high, device="cpu")
        assert [row.area for row in rows] == [area] * 2 * len(LISTINGS)
        assert (rows[0].live_score, rows[0].spoof_score) == (200, 20)
