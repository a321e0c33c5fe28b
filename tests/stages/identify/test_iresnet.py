"""Shapes, parameter counts and names of iResNet, against the published network."""

from __future__ import annotations

import pytest
import torch

from fasgen.stages.identify.iresnet import DEPTHS, IResNet, IResNetConfig

PARAMETERS = {18: 24.03, 34: 34.14, 50: 43.59, 100: 65.16}
"""Millions, of the public ArcFace iResNets with a 512-long embedding."""


@pytest.mark.parametrize("depth", DEPTHS)
def test_parameter_counts_are_the_published_ones(depth: int) -> None:
    with torch.device("meta"):
        network = IResNet(IResNetConfig(DEPTHS[depth]))
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(1e6 * PARAMETERS[depth], abs=5e3)


def test_names_are_those_of_public_checkpoints() -> None:
    with torch.device("meta"):
        names = set(IResNet().state_dict())
    assert {
        "conv1.weight",
        "prelu.weight",
        "layer2.0.downsample.1.running_var",
        "layer4.1.bn3.bias",
        "bn2.weight",
        "fc.bias",
    } <= names
    assert not {n.split(".")[0] for n in names} - {
        "conv1",
        "bn1",
        "prelu",
        "layer1",
        "layer2",
        "layer3",
        "layer4",
        "bn2",
        "fc",
        "features",
    }


@pytest.mark.parametrize("side", [112, 96, 224])
def test_map_and_embedding(side: int) -> None:
    network = IResNet(IResNetConfig((1, 1, 1, 1), (8, 8, 8, 16), head="gdc")).eval()
    with torch.no_grad():
        out = network(torch.rand(2, 3, side, side) * 2 - 1)
    assert out.map.shape == (2, 512, 7, 7) and out.embedding.shape == (2, 512) and out.norm.shape == (2,)
    assert torch.allclose(out.embedding.norm(dim=1), torch.ones(2), atol=1e-5)


def test_config_survives_json() -> None:
    config = IResNetConfig((1, 2, 2, 2), (16, 32, 96, 192), head="gdc")
    assert IResNetConfig.from_dict({**config.to_dict(), "blocks": [1, 2, 2, 2], "unknown": 1}) == config
