"""What is measured of attacks and of their simulation, on made-up pictures with a known answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.quality import appearance
from bench.quality.appearance import TRAITS, by_person, raster, traits
from bench.quality.live import LiveFaces
from bench.quality.strangers import Strangers
from fasgen.stages.physical.config import STYLES, PhysicalConfig
from fasgen.stages.physical.tone import decode, encode
from tests.stages.physical.pictures import picture


def stranger(images: np.ndarray, spoof: list[bool], people: list[str]) -> Strangers:
    names = np.array([str(i) for i in range(len(images))])
    return Strangers(images, names, np.array(spoof), np.array(["webcam"] * len(images)), np.array(people), np.array(people))


def test_a_gain_of_light_shows_as_so_many_octaves() -> None:
    face = (picture(112, 112) // 2 + 40).astype(np.uint8)
    changed = encode(decode(face) * np.array([0.5, 1.0, 0.7], np.float32))
    before, after = traits(np.stack([face, changed]))
    change = dict(zip(TRAITS, after - before, strict=True))
    assert change["red"] == pytest.approx(-1, abs=0.03) and change["blue"] == pytest.approx(np.log2(0.7), abs=0.03)
    assert change["light"] < 0


def test_a_grating_is_a_raster_and_a_face_is_none() -> None:
    face = picture(78, 72).astype(np.float32).mean(2) / 255
    y, x = np.mgrid[:78, :72]
    grating = face + 0.05 * np.sin(2 * np.pi * (0.2 * x + 0.15 * y)).astype(np.float32)
    assert raster(grating) > raster(face) + 3


def test_people_are_compared_with_themselves() -> None:
    dark, light = (np.full((40, 40, 3), level, np.uint8) for level in (60, 120))
    who = stranger(np.stack([light, dark, light, dark, light]), [False, True, False, True, False], ["a", "a", "b", "b", "c"])
    values = np.arange(5.0)[:, None]
    assert by_person(values, who, np.ones(5, np.bool_)).tolist() == [[1.0], [1.0]]


def test_every_style_stands_beside_the_attacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = np.stack([picture(48, 48, seed) for seed in range(4)])
    monkeypatch.setattr(appearance, "strangers", lambda *_: stranger(faces, [False, True] * 2, ["a", "a", "b", "b"]))
    live = LiveFaces(faces, ("a", "b", "c", "d"), np.array(list("abcd")))
    monkeypatch.setattr(appearance, "live_faces", lambda *_, **__: live)
    report = appearance.measure(tmp_path, tmp_path, PhysicalConfig())
    assert set(report) == {"attacks, webcam", *STYLES} and (tmp_path / "appearance.json").is_file()
    assert all(low <= middle <= high for row in report.values() for low, middle, high in row.values())
    assert len(appearance.text(report).splitlines()) == 2 + len(report)
