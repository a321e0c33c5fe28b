"""Eight bits: known roundings, rows that know nothing of each other, layers near what they replace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fasgen.errors import ConfigError
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.defake.stage import Defake
from fasgen.stages.fp8 import FLOAT8, Linear8, Pointwise8, in_float8, quantised
from fasgen.stages.stage import Product
from tests.stages.defake.test_stage import sample
from tests.stages.defake.tiny import tiny_unet, write_patch

CPU = torch.device("cpu")


def test_known_roundings() -> None:
    """Three bits of mantissa: eight numbers between two powers of two, to the even one of two neighbours."""
    values, scale = quantised(torch.tensor([[448.0, 17.0, 19.0, -0.5, 2**-9, 2**-11, 0.0]]))
    assert scale.item() == 1 and values.dtype == FLOAT8
    assert values.float().tolist() == [[448.0, 16.0, 20.0, -0.5, 2**-9, 0.0, 0.0]]
    values, scale = quantised(torch.tensor([[-2.0, 1.0], [0.0, 0.0]]))
    assert scale.flatten().tolist() == pytest.approx([2 / 448, 1e-12 / 448]) and values.float().tolist() == [
        [-448.0, 224.0],
        [0.0, 0.0],
    ]


@given(st.integers(0, 2**32 - 1), st.floats(-20, 20))
def test_what_is_rounded_is_near_and_scales_with_its_row(seed: int, exponent: float) -> None:
    """Half a step of the mantissa, 1 / 16, or half the smallest number of the row's scale."""
    rows = torch.randn(3, 16, generator=torch.Generator().manual_seed(seed)) * 2**exponent
    values, scale = quantised(rows)
    error = (values.float() * scale - rows).abs()
    assert bool((error <= rows.abs() / 16 * 1.001 + scale * 2**-10).all())
    for row in range(3):
        alone, its = quantised(rows[row : row + 1])
        assert torch.equal(alone.float(), values[row : row + 1].float()) and torch.equal(its, scale[row : row + 1])


def test_a_row_that_is_not_finite_keeps_it_to_itself() -> None:
    rows = torch.ones(2, 16)
    rows[0, 3] = torch.nan
    out = Linear8(nn.Linear(16, 16), native=False)(rows)
    assert not out[0].isfinite().any() and out[1].isfinite().all()


def test_a_product_of_numbers_that_eight_bits_hold_is_exact() -> None:
    layer = nn.Linear(16, 16)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        # The largest of each row is a power of two times 448, so that scales round nothing.
        layer.weight.copy_(torch.randint(-8, 9, (16, 16), generator=generator)).data[:, 0] = 14
        layer.bias.fill_(0.5)
    x = torch.randint(-8, 9, (5, 16), generator=generator).float()
    x[:, 1] = 14
    with torch.no_grad():
        # Up to bfloat16, in which products leave.
        assert torch.equal(Linear8(layer, native=False)(x), (x @ layer.weight.T).bfloat16().float() + 0.5)


def test_layers_are_near_what_they_replace() -> None:
    torch.manual_seed(0)
    linear, conv = nn.Linear(64, 32), nn.Conv2d(64, 32, 1)
    x = torch.randn(2, 64, 5, 7).contiguous(memory_format=torch.channels_last)
    rows = x.flatten(2).transpose(1, 2)
    with torch.no_grad():
        for out, wanted in (
            (Linear8(linear, native=False)(rows), linear(rows)),
            (Pointwise8(conv, native=False)(x), conv(x)),
        ):
            assert out.shape == wanted.shape and out.dtype == wanted.dtype
            assert (out - wanted).pow(2).mean() < 0.002 * wanted.pow(2).mean()


def test_native_layers_hand_the_device_what_it_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows by row, weights by column, scales of each in float32."""

    def multiply(a: torch.Tensor, b: torch.Tensor, **more: torch.Tensor) -> torch.Tensor:
        assert a.dtype == b.dtype == FLOAT8 and a.is_contiguous() and b.T.is_contiguous()
        one, other = more["scale_a"], more["scale_b"]
        assert one.shape == (len(a), 1) and other.shape == (1, b.shape[1]) and one.is_contiguous() and other.is_contiguous()
        assert one.dtype == other.dtype == torch.float32 and more["out_dtype"] is torch.bfloat16
        return (a.float() @ b.float() * one * other).bfloat16()

    monkeypatch.setattr(torch, "_scaled_mm", multiply)
    layer, x = nn.Linear(32, 16).bfloat16(), torch.randn(3, 4, 32).bfloat16()
    with torch.no_grad():
        assert torch.equal(Linear8(layer, native=True)(x), Linear8(layer, native=False)(x))


def test_which_layers_of_a_unet_are_replaced() -> None:
    unet = tiny_unet(4, 4, 32)
    count = in_float8(unet, CPU)
    names = {name: type(module).__name__ for name, module in unet.named_modules()}
    replaced = {name for name, kind in names.items() if kind in ("Linear8", "Pointwise8")}
    assert len(replaced) == count > 0
    assert all("time_emb" not in name and not name.endswith(("attn2.to_k", "attn2.to_v")) for name in replaced)
    assert {"conv_in", "conv_out"}.isdisjoint(replaced)
    assert any(name.endswith("attn1.to_q") for name in replaced) and any(name.endswith("proj_in") for name in replaced)
    left = [name for name, module in unet.named_modules() if isinstance(module, nn.Linear)]
    assert all("time_emb" in name or name.endswith(("attn2.to_k", "attn2.to_v")) for name in left)


def test_a_gpu_without_float8_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "an older one")
    with pytest.raises(ConfigError, match=r"an older one .* 8\.0.* dtype=bf16"):
        in_float8(nn.Linear(16, 16), torch.device("cuda"))


def test_the_stage_in_eight_bits_is_near_itself_and_company_does_not_change_a_sample(tmp_path: Path) -> None:
    folder = write_patch(tmp_path)
    made = {}
    for dtype in ("fp32", "bf16", "fp8"):
        stage = Defake(DefakeConfig.model_validate({"weights": str(folder), "batch": 4, "calls": 4, "dtype": dtype}), CPU)
        batch = stage([sample(i, i) for i in range(4)])
        (alone,) = stage([sample(2, 2)])
        assert isinstance(batch[2], Product) and isinstance(alone, Product)
        assert np.array_equal(batch[2].arrays["residual"], alone.arrays["residual"])
        made[dtype] = np.stack([one.arrays["residual"] for one in batch if isinstance(one, Product)]).astype(np.float64)
    narrow, narrower = (np.abs(made[dtype] - made["fp32"]).mean() for dtype in ("bf16", "fp8"))
    assert 0 < narrower < 4 and narrow < narrower
