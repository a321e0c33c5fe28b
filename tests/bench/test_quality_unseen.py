"""Whether a style is carried by its guide alone: who judges, and by what."""

from __future__ import annotations

import numpy as np

from bench.quality.crops import Crops
from bench.quality.unseen import halves


def test_nobody_teaches_the_judge_and_is_a_guide() -> None:
    names = [f"nuaa/{kind}/nuaa_{who}/{i}.jpg" for kind in ("live", "spoof") for who in range(4) for i in range(3)]
    names += [f"replay_domains/d7/{kind}/{i:04d}.jpg" for kind in ("live", "spoof") for i in range(6)]
    images = np.arange(len(names), dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    spoof = np.array(["/spoof/" in name for name in names])
    teach, guides = halves([Crops(images, np.array(names), spoof, np.array(["g"] * len(names)), ())])
    assert set(guides) == {"nuaa|webcam|print", "replay|d7|replay"}
    assert set(teach) == set(guides) | {"nuaa|webcam|live", "replay|d7|live"}
    for key, pictures in guides.items():
        learnt, shown = ({names[i] for i in part[:, 0, 0, 0].tolist()} for part in (teach[key], pictures))
        assert learnt and shown and not learnt & shown and all("/spoof/" in name for name in learnt | shown)
    people = [{names[i].split("/")[2] for i in part["nuaa|webcam|print"][:, 0, 0, 0].tolist()} for part in (teach, guides)]
    assert not people[0] & people[1]
