"""Image and cue move together: moving and subtracting commute."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.errors import ConfigError
from fasgen.reader import JointAugment, resize, scale_cue


def pair(seed: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, made = torch.randint(0, 256, (2, 3, height, width), generator=generator).float()
    return image, made


def run(augment: JointAugment, seed: int, **fields: torch.Tensor) -> dict[str, torch.Tensor]:
    return augment(fields, torch.Generator().manual_seed(seed))


sides = st.integers(5, 20)


@given(st.integers(0, 2**31), sides, sides, st.integers(1, 5), st.integers(1, 5))
def test_flip_and_crop_commute_with_subtraction_exactly(seed: int, height: int, width: int, top: int, left: int) -> None:
    image, made = pair(seed, height, width)
    augment = JointAugment(flip=0.5, crop=(top, left))
    out = run(augment, seed, image=image, cue=image - made, made=made)
    assert torch.equal(out["image"] - out["made"], out["cue"])
    assert out["cue"].shape == (3, top, left)


@given(st.integers(0, 2**31), sides, sides, st.floats(0, 45), st.floats(0, 0.3), st.floats(0.7, 1.0))
def test_affine_commutes_with_subtraction(seed: int, height: int, width: int, degrees: float, shift: float, low: float) -> None:
    image, made = pair(seed, height, width)
    augment = JointAugment(degrees=degrees, shift=shift, scale=(low, 1.2))
    out = run(augment, seed, image=image, cue=image - made, made=made)
    assert torch.allclose(out["image"] - out["made"], out["cue"], atol=2e-3)
    small = {name: resize(x, (4, 6)) for name, x in out.items()}
    assert torch.allclose(small["image"] - small["made"], small["cue"], atol=2e-3)


def test_flip_mirrors() -> None:
    image, made = pair(0, 6, 7)
    out = run(JointAugment(flip=1.0), 0, image=image, cue=image - made)
    assert torch.equal(out["image"], image.flip(-1)) and torch.equal(out["cue"], (image - made).flip(-1))
    assert torch.equal(run(JointAugment(flip=0.0), 0, image=image)["image"], image)


def test_flips_at_the_stated_rate() -> None:
    augment, generator = JointAugment(flip=0.3), torch.Generator().manual_seed(0)
    flips = sum(augment.draw(4, 4, generator).flip for _ in range(2000))
    assert abs(flips / 2000 - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 2000)


def test_a_quarter_turn_turns_an_image_that_is_not_square_without_shear() -> None:
    image = torch.zeros(1, 9, 15)
    image[0, 4, 4:11] = 1.0  # a horizontal bar around the centre
    theta = JointAugment(degrees=90)._theta(9, 15, [1.0, 0.0, 0.5, 0.5])
    from fasgen.reader import Move

    turned = Move(theta=theta).apply(image)
    expected = torch.zeros(1, 9, 15)
    expected[0, 1:8, 7] = 1.0
    assert torch.allclose(turned, expected, atol=1e-4)


def test_scale_and_shift_go_the_stated_way() -> None:
    image = torch.zeros(1, 11, 11)
    image[0, 5, 5] = 1.0
    from fasgen.reader import Move

    theta = JointAugment(shift=0.2)._theta(10, 10, [0.5, 0.0, 1.0, 0.5])
    moved = Move(theta=theta).apply(torch.nn.functional.pad(image[:, :10, :10], (0, 0)))
    assert moved[0].argmax() == 5 * 10 + 7  # right by 0.2 * 10 px
    grown = Move(theta=JointAugment(scale=(2.0, 2.0))._theta(11, 11, [0.5, 0.0, 0.5, 0.5])).apply(image)
    assert grown.sum() > 3 * image.sum()


@pytest.mark.parametrize(
    "bad", [{"flip": 1.5}, {"scale": (0.0, 1.0)}, {"scale": (1.2, 1.0)}, {"degrees": -1.0}, {"shift": 1.0}]
)
def test_settings_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        JointAugment(**bad)


def test_a_crop_larger_than_the_image_and_fields_of_two_sizes_are_refused() -> None:
    image, made = pair(0, 8, 8)
    with pytest.raises(ConfigError, match="crop is 9 x 4"):
        run(JointAugment(crop=(9, 4)), 0, image=image)
    with pytest.raises(ValueError, match="same height and width"):
        run(JointAugment(), 0, image=image, cue=made[:, :4])


@pytest.mark.parametrize("level", [0.0, 3.0, -255.0, 0.1])
def test_a_flat_cue_is_standardised_to_zero_not_to_noise(level: float) -> None:
    assert scale_cue(torch.full((3, 224, 224), level), "standardised").abs().max() < 1e-6


@given(st.integers(0, 2**31), st.integers(1, 40))
def test_standardising_is_the_recipe_of_ag_fas(seed: int, side: int) -> None:
    image, made = pair(seed, side, side)
    x = (image - made).double() / 127.5
    expected = (x - x.mean()) / (x.std(correction=0) + 1e-8)
    assert torch.allclose(scale_cue(image - made, "standardised").double(), expected, atol=1e-5)


def test_signed_cues_span_minus_two_to_two() -> None:
    assert torch.equal(scale_cue(torch.full((3, 2, 2), -255.0), "signed"), torch.full((3, 2, 2), -2.0))


@given(st.integers(0, 2**31), sides, sides, st.floats(0, 20))
def test_several_cues_move_as_the_image_does(seed: int, height: int, width: int, degrees: float) -> None:
    """Residual, a spoof cue map and a one-channel mask that all carry the image's own pixels stay equal to it."""
    image, made = pair(seed, height, width)
    augment = JointAugment(flip=0.5, degrees=degrees, shift=0.1, crop=(height - 1, width - 1))
    fields = {"image": image, "cue": image - made, "lgsc.map": image.clone(), "stdn.mask": image[:1].clone(), "made": made}
    out = augment(fields, torch.Generator().manual_seed(seed))
    assert {x.shape[-2:] for x in out.values()} == {(height - 1, width - 1)}
    assert torch.equal(out["lgsc.map"], out["image"]) and torch.equal(out["stdn.mask"], out["image"][:1])
    assert torch.allclose(out["image"] - out["made"], out["cue"], atol=2e-3)
    # Fewer cues beside it change nothing of how the image moves.
    alone = augment({"image": image}, torch.Generator().manual_seed(seed))
    assert torch.equal(alone["image"], out["image"])
