"""The example portraits: they are what their credits say, and each of them shows a face."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
import torch
import yaml

from fasgen.stages.align.config import AlignConfig
from fasgen.stages.align.stage import Align
from fasgen.stages.stage import Product, Sample
from tests.stages.align.pictures import PORTRAITS, read

PATHS = sorted(PORTRAITS.glob("*.jpg"))


@pytest.fixture(scope="module")
def align() -> Align:
    return Align(AlignConfig(), torch.device("cpu"))


def test_the_credits_tell_of_every_portrait_and_give_its_digest() -> None:
    credits = (PORTRAITS / "CREDITS.md").read_text()
    rows = re.findall(r"^\| `(\w+\.jpg)` \| (.+) \|$", credits, re.MULTILINE)
    digests = {name: rest.strip("`") for name, rest in rows if re.fullmatch(r"`[0-9a-f]{64}`", rest)}
    assert digests == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in PATHS}
    assert {name for name, rest in rows if rest.count("|") == 2} == digests.keys()


def test_a_dozen_portraits_of_ten_people() -> None:
    (source,) = yaml.safe_load((PORTRAITS.parent / "fasgen.yaml").read_text())["sources"]
    subjects = [match["subject"] for path in PATHS if (match := re.match(source["pattern"], path.name))]
    assert len(PATHS) == len(subjects) == 12 and len(set(subjects)) == 10
    assert sum(path.stat().st_size for path in PATHS) < 1.5e6


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_every_portrait_shows_a_face_of_80_px_or_more(path: Path, align: Align) -> None:
    (result,) = align([Sample("0" * 16, 1, 0, images={"image": read(path)})])
    assert isinstance(result, Product), result
    size = result.values["face_size"]
    assert isinstance(size, float) and size >= 80
