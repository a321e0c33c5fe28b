"""BRISQUE against its reference: the PyPI package ``brisque`` 0.2.0."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fasgen.stages.score.aggd import fit, statistics
from fasgen.stages.score.brisque import Brisque
from fasgen.stages.score.config import brisque_folder
from fasgen.stages.score.moments import halve, moments
from fasgen.stages.score.moments_cpu import CpuMoments
from fasgen.stages.score.support_vectors import load

from .pictures import picture
from .reference import Reference

EQUAL = 1e-7
"""Points by which scores may differ from the reference's, rounding noise of flat patches left out."""

FLAT_NOISE = 2.5
"""Points by which that noise may move the reference where patches are flat."""

GOLDEN = list(csv.DictReader((Path(__file__).parent / "golden.csv").open()))


@pytest.fixture(scope="module")
def brisque() -> Brisque:
    return Brisque(load(brisque_folder("embedded")), torch.device("cpu"))


def score(brisque: Brisque, *images: NDArray[np.uint8]) -> NDArray[np.float64]:
    return brisque(torch.from_numpy(np.stack(images))).numpy()


@pytest.mark.parametrize("row", GOLDEN, ids=lambda row: f"{row['kind']}-{row['seed']}")
def test_equals_golden_scores_of_the_package(brisque: Brisque, row: dict[str, str]) -> None:
    found = score(brisque, picture(row["kind"], int(row["seed"])))[0]
    assert found == pytest.approx(float(row["without_rounding_noise"]), abs=EQUAL)
    assert found == pytest.approx(float(row["brisque_0.2.0"]), abs=FLAT_NOISE if row["kind"] == "bordered" else EQUAL)


@pytest.mark.parametrize("row", GOLDEN[::2], ids=lambda row: f"{row['kind']}-{row['seed']}")
def test_torch_path_of_accelerators_equals_the_cpu_path(brisque: Brisque, row: dict[str, str]) -> None:
    image = picture(row["kind"], int(row["seed"]))
    batched = moments(torch.from_numpy(np.stack((image, image[::-1]))))
    np.testing.assert_allclose(batched[0].numpy(), CpuMoments()(image), rtol=1e-9)
    found = brisque.regress(statistics(batched))[0].item()
    assert found == pytest.approx(float(row["without_rounding_noise"]), abs=EQUAL)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_equals_the_cpu(brisque: Brisque) -> None:
    images = [picture(kind, 1) for kind in ("noise", "blurred", "texture", "bordered")]
    on_cuda = Brisque(load(brisque_folder("embedded")), torch.device("cuda"))
    np.testing.assert_allclose(on_cuda(torch.from_numpy(np.stack(images))).cpu().numpy(), score(brisque, *images), atol=EQUAL)


@pytest.mark.skipif(
    find_spec("brisque") is None or find_spec("scipy") is None, reason="needs the package brisque, and scipy for it"
)
def test_equals_the_package_on_real_crops(brisque: Brisque, data: Path) -> None:
    files = [*sorted(data.glob("celeba_spoof_dev/*/*.jpg"))[::8], *sorted(data.glob("replay_domains/*/*/*.jpg"))[::36]]
    files += sorted(data.glob("live_aligned_112/*/*.jpg"))[::400]
    plain, quiet = Reference(), Reference(quiet=True)
    assert len(files) >= 100
    for number, file in enumerate(files):
        image = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        side = min(image.shape[:2])
        top, left = (image.shape[0] - side) // 2, (image.shape[1] - side) // 2
        size = (96, 112, 128, 161)[number % 4]
        crop = cv2.resize(image[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA)
        found, wanted = score(brisque, crop)[0], plain(crop)
        assert found == pytest.approx(wanted, abs=FLAT_NOISE if plain.flat else EQUAL), file
        if plain.flat:
            assert found == pytest.approx(quiet(crop), abs=EQUAL), file


def test_score_does_not_depend_on_company_or_place(brisque: Brisque) -> None:
    images = [picture(kind, 5) for kind in ("noise", "blurred", "texture")]
    together = score(brisque, *images)
    assert together.tolist() == [score(brisque, image)[0] for image in images]
    assert score(brisque, *images[::-1]).tolist() == together[::-1].tolist()


def test_blur_and_noise_worsen_a_natural_texture(brisque: Brisque) -> None:
    base = picture("blurred", 4)
    noisy = np.clip(base.astype(int) + np.random.default_rng(0).normal(0, 40, base.shape), 0, 255).astype(np.uint8)
    plain, worse = score(brisque, base, noisy)
    assert worse > plain


@pytest.mark.parametrize("level", [0, 17, 255])
def test_a_flat_image_has_no_score(brisque: Brisque, level: int) -> None:
    assert not np.isfinite(score(brisque, np.full((32, 32, 3), level, np.uint8))).any()


@settings(deadline=None, max_examples=30)
@given(height=st.integers(4, 40), width=st.integers(4, 40), seed=st.integers(0, 2**32))
def test_any_size_gives_the_same_moments_on_both_paths(height: int, width: int, seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    np.testing.assert_allclose(moments(torch.from_numpy(image[None]))[0].numpy(), CpuMoments()(image), rtol=1e-8)


@given(height=st.integers(2, 23), width=st.integers(2, 23))
def test_halving_is_opencvs(height: int, width: int) -> None:
    y = np.random.default_rng(height * 31 + width).random((height, width))
    wanted = cv2.resize(y, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(halve(torch.from_numpy(y[None]))[0].numpy(), wanted, atol=1e-14)


@pytest.mark.parametrize("shape", [0.2, 0.5, 1.0, 2.0, 3.7, 9.9, 30.0])
def test_fit_finds_the_shape_of_a_generalised_gaussian(shape: float) -> None:
    """E|x| and E[x^2] of the density exp(-|x|^a) have closed forms."""
    gamma = [torch.lgamma(torch.tensor(k / shape, dtype=torch.float64)).exp() for k in (1, 2, 3)]
    mean_abs, mean_square = gamma[1] / gamma[0], gamma[2] / gamma[0]
    found, mean = fit(torch.stack((mean_abs, mean_square, mean_square, mean_square)))
    assert found.item() == pytest.approx(shape, rel=1e-9)
    assert mean.item() == 0
