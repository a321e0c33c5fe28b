"""The U-Net: the paper's preset, every size, and what its parts do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fasgen.errors import WeightsError
from fasgen.stages.synth.difffas.stfm import STFM
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder, StyleEncoderConfig
from fasgen.stages.synth.difffas.unet import UNet, UNetConfig, time_embedding

from .tiny import encoder, images, unet


def paper() -> tuple[UNet, StyleEncoder]:
    return UNet(), StyleEncoder(StyleEncoderConfig(tuple(f"d|c|{i}" for i in range(17))))


def test_the_papers_shape() -> None:
    """7 STFMs, 6 channels in and out, 128 to 512 channels, and style features of 256, 512 and 512 at 32, 16 and 8 px."""
    with torch.device("meta"):
        network, style = paper()
        k = style.features(torch.empty(1, 3, 256, 256))
        out = network(*torch.empty(2, 1, 3, 256, 256), torch.empty(1), k)
    assert sum(isinstance(m, STFM) for m in network.modules()) == 7
    assert network.stem.in_channels == 6 and network.out.out_channels == 6
    assert [level.blocks[0].conv1.out_channels for level in network._levels(network.down)] == [128, 128, 256, 256, 512, 512]
    assert [len(level.blocks) for level in network._levels(network.down)] == [2] * 6
    assert [len(level.blocks) for level in network._levels(network.up)] == [3] * 6
    assert [tuple(f.shape[1:]) for f in k] == [(256, 32, 32), (512, 16, 16), (512, 8, 8)]
    assert out.output.shape == (1, 3, 256, 256) and out.variance is not None and out.variance.shape == (1, 3, 256, 256)
    assert {m.p_mu for m in network.modules() if isinstance(m, STFM)} == {6}
    assert {m.p_sigma for m in network.modules() if isinstance(m, STFM)} == {2}


@pytest.mark.parametrize("patch", [1, 2, 4])
@pytest.mark.parametrize("size", [(32, 32), (17, 23), (8, 8), (1, 5)])
def test_any_size_comes_back(patch: int, size: tuple[int, int]) -> None:
    network, x = unet(patch=patch), images(2, *size)
    out = network(x, x, torch.tensor([3, 700]), encoder().features(x))
    assert out.output.shape == x.shape and bool(torch.isfinite(out.output).all())
    assert out.variance is not None and out.variance.shape == x.shape


def test_output_starts_at_zero() -> None:
    network, x = (
        UNet(
            UNetConfig(base=8, multipliers=(1, 1), fusion=(1,), style_channels=(8,), mean_patches=(2,), variance_patches=(2,))
        ),
        images(1),
    )
    assert not network(x, x, torch.zeros(1), [torch.randn(1, 8, 4, 4)]).output.any()


def test_every_input_counts() -> None:
    network, x, y = unet(), images(1), images(1, seed=5)
    k, other = encoder().features(x), encoder().features(y)
    t = torch.tensor([100])
    out = network(x, x, t, k).output
    for changed in (network(y, x, t, k), network(x, y, t, k), network(x, x, t + 500, k), network(x, x, t, other)):
        assert not torch.allclose(changed.output, out, atol=1e-4)


def test_without_style_no_style_counts() -> None:
    network, x = unet(), images(2)
    null = torch.ones(2, dtype=torch.bool)
    one = network(x, x, torch.tensor([5, 5]), encoder().features(x), null).output
    two = network(x, x, torch.tensor([5, 5]), encoder().features(images(2, seed=9)), null).output
    assert torch.equal(one, two)


def test_the_styling_of_two_passes_begins_with_that_of_the_first() -> None:
    network, k = unet(modulated=True), encoder().features(images(2))
    both = network.styling([torch.cat([f, f]) for f in k], torch.tensor([False, False, True, True])).first(2)
    alone = network.styling(k)
    assert len(alone.fusions) == sum(isinstance(m, STFM) for m in network.modules())
    for one, other in zip(alone.fusions, both.fusions, strict=True):
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))
    assert alone.vector is not None and both.vector is not None and torch.allclose(alone.vector, both.vector, atol=1e-6)


def test_times_are_told_apart() -> None:
    e = time_embedding(torch.arange(0, 1000, 50), 32)
    assert e.shape == (20, 32) and torch.equal(e[0, :16], torch.ones(16)) and not e[0, 16:].any()
    assert float(torch.cdist(e, e).fill_diagonal_(9).min()) > 0.1


def test_saved_and_loaded(tmp_path: Path) -> None:
    network, x = unet(learned_variance=False, patch=2), images(1)
    network.save(tmp_path)
    again = UNet.load(tmp_path)
    k = encoder().features(x)
    assert again.config == network.config
    assert torch.equal(again(x, x, torch.zeros(1), k).output, network(x, x, torch.zeros(1), k).output)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    unet().save(tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace('"base": 8', '"base": 16'))
    with pytest.raises(WeightsError, match="of another shape"):
        UNet.load(tmp_path)
    (tmp_path / "config.json").write_text(text.replace('"patch": 1', '"patches": 1'))
    with pytest.raises(WeightsError, match="not the configuration of a UNet"):
        UNet.load(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model.bin")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError, match=r"model\.bin is a pickle"):
        UNet.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"fusion": (2, 1)}, "rising levels"), ({"fusion": (1, 3)}, "rising levels"), ({"mean_patches": (6,)}, "2 numbers")],
)
def test_a_shape_that_does_not_hold_together(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unet(**changes)
