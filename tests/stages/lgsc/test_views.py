"""Pictures for training: the same draw for the same coin, patches from where they were cut, ranges kept."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from fasgen.stages.lgsc.train_views import patches, photometric, rescaled


def coin(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 2**31), st.integers(8, 20))
def test_a_patch_is_a_window_of_its_picture(seed: int, side: int) -> None:
    x = torch.arange(2 * 3 * 16 * 20, dtype=torch.float32).reshape(2, 3, 16, 20)
    out = patches(x, side, coin(seed))
    if side >= 16:
        assert out is x
        return
    assert out.shape == (2, 3, side, side)
    for whole, part in zip(x, out, strict=True):
        top, left = divmod(int(part[0, 0, 0] - whole[0, 0, 0]), 20)
        assert torch.equal(part, whole[:, top : top + side, left : left + side])


def test_patches_reach_every_place() -> None:
    x = torch.arange(6.0).expand(400, 1, 6, 6)
    assert set(patches(x, 4, coin(0))[:, 0, 0, 0].tolist()) == {0.0, 1.0, 2.0}


@given(st.integers(0, 2**31))
def test_light_changes_each_picture_and_keeps_the_range(seed: int) -> None:
    x = torch.rand(4, 3, 8, 8, generator=coin(1)) * 2 - 1
    out = photometric(x, 0.3, coin(seed))
    assert out.abs().max() <= 1 and torch.equal(out, photometric(x, 0.3, coin(seed)))
    assert all(not torch.equal(a, b) for a, b in zip(x, out, strict=True))
    assert photometric(x, 0.0, coin(seed)) is x


def test_the_share_is_rescaled_and_the_others_are_not_touched() -> None:
    x = torch.randint(0, 256, (200, 3, 24, 24), generator=coin(2), dtype=torch.uint8)
    out = rescaled(x, 0.5, coin(3))
    changed = [not torch.equal(a, b) for a, b in zip(x, out, strict=True)]
    assert 70 < sum(changed) < 130 and out.dtype == torch.uint8 and out.shape == x.shape
    assert torch.equal(rescaled(x, 0.0, coin(3)), x) and torch.equal(out, rescaled(x, 0.5, coin(3)))
    flat = torch.full((1, 3, 24, 24), 90, dtype=torch.uint8)
    assert torch.allclose(rescaled(flat, 1.0, coin(0)).float(), flat.float(), atol=1.0)
