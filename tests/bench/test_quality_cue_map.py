"""The measurement of LGSC's score, on crops whose scores are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.quality.crops import Crops
from bench.quality.cue_map import measure, text
from bench.quality.probe import LISTINGS
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.network_folder import save_network
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
    rows = measure(tmp_path, tmp_path / "out", LgscConfig(weights=str(tmp_path / "weights"), batch=4), device="cpu")
    assert [(row.data_set, row.group, row.live, row.spoof) for row in rows] == [
        (name, group, count, count) for name in LISTINGS for group, count in (("a", 3), ("b", 3), ("", 6))
    ]
    assert all(row.area == pytest.approx(0.5) and row.live_score == pytest.approx(row.spoof_score) for row in rows)
    assert "| replays | a | 3, 3 | 0.500 |" in text(rows)
