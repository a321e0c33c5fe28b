"""Whether a style is carried by its guide alone: who judges, and by what."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.quality.crops import Crops
from bench.quality.unseen import LOW, Matches, halves, low_frequencies


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


def test_a_style_is_matched_by_what_spoofs_of_one_face_differ_by() -> None:
    """Features are mean colours here; styles add to red, green or blue, and faces differ by far more than styles do."""

    def colours(pictures: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(pictures.mean((1, 2)), np.float32)

    def picture(red: int, green: int, blue: int) -> NDArray[np.uint8]:
        return np.full((8, 8, 3), (red, green, blue), np.uint8)

    known = {
        "red": np.stack([picture(120, 100, 100), picture(124, 100, 100)]),
        "green": np.stack([picture(100, 120, 100), picture(100, 124, 100)]),
        "blue": np.stack([picture(100, 100, 120), picture(100, 100, 124)]),
    }
    faces = [picture(r + 40, g, b) for r, g, b in ((5, 0, 0), (0, 5, 0), (0, 0, 5))]
    faces += [picture(r, g + 200, b + 90) for r, g, b in ((9, 0, 0), (0, 9, 0), (9, 0, 3))]
    found = Matches(colours, known).matched(np.stack(faces))
    assert found.tolist() == ["red", "green", "blue", "red", "green", "red"], "the last asks for blue and is red"


def test_the_control_has_the_guides_tones_and_the_face_s_detail() -> None:
    coin = np.random.default_rng(0)
    live, guide = (np.asarray(coin.integers(60, 180, (64, 64, 3)), np.uint8) for _ in range(2))
    assert np.array_equal(low_frequencies(live, live), live)
    made = low_frequencies(live, np.full_like(live, 100)).astype(float)
    assert abs(made.mean() - 100) < 1
    detail = live - cv2.GaussianBlur(live.astype(np.float32), (0, 0), LOW)
    assert np.abs(made - 100 - detail).max() < 1
    assert np.abs(low_frequencies(live, guide).mean((0, 1)) - guide.mean((0, 1))).max() < 1.5
