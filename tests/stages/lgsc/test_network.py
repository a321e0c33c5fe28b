"""Shapes of the paper's network, any size of crop, and what the classifier sees."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.stages.lgsc.network import AuxiliaryClassifier, GeneratorConfig, SpoofCueGenerator

from .tiny import SHAPE, generator


def test_the_paper_s_network_has_the_shapes_of_the_paper() -> None:
    with torch.device("meta"):
        network = SpoofCueGenerator(GeneratorConfig()).eval()
        x = torch.empty(2, 3, 224, 224)
        taps = network.encoder.taps(x)
        cue = network(x)
        logits = AuxiliaryClassifier().eval()(x + cue.map)
    assert [tuple(t.shape[1:]) for t in taps] == [(64, 112, 112), (64, 56, 56), (128, 28, 28), (256, 14, 14), (512, 7, 7)]
    levels = [(512, 7, 7), (256, 14, 14), (128, 28, 28), (64, 56, 56), (64, 112, 112)]
    assert [tuple(f.shape[1:]) for f in cue.features] == levels
    assert cue.map.shape == x.shape and logits.shape == (2, 2)
    assert sum(p.numel() for p in network.encoder.parameters()) == 11_176_512  # ResNet-18 without its last layer
    assert [stage.up.kernel_size for stage in network.decoder] == [(2, 2)] * 4
    assert all(isinstance(stage.norm, torch.nn.InstanceNorm2d) for stage in network.decoder)


@settings(max_examples=12)
@given(
    st.integers(32, 75), st.integers(32, 75), st.sampled_from(["instance", "batch"]), st.sampled_from(["zeros", "replicate"])
)
def test_any_size_gives_a_map_of_its_own_size(height: int, width: int, norm: str, padding: str) -> None:
    x = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    cue = generator(norm=norm, padding=padding)(x)
    assert cue.map.shape == x.shape and len(cue.features) == 5
    assert cue.map.abs().max() <= 1 and torch.isfinite(cue.map).all()


def test_replicated_borders_do_not_tell_where_the_picture_ends() -> None:
    """Of a picture of one colour, every pixel of every level is the same; zeros beyond the border show along it."""
    flat = torch.full((1, 3, 64, 64), 0.3)
    networks = {padding: generator(norm="batch", padding=padding) for padding in ("zeros", "replicate")}
    spread = {
        padding: [float((level.amax((2, 3)) - level.amin((2, 3))).max()) for level in network.encoder.taps(flat)]
        for padding, network in networks.items()
    }
    assert max(spread["replicate"]) < 1e-5 < min(spread["zeros"])
    cue = networks["replicate"](flat).map
    assert float((cue.amax((2, 3)) - cue.amin((2, 3))).max()) < 1e-5
    classifier = AuxiliaryClassifier(4, (4, 4, 4, 4), padding="replicate").eval()
    assert all(module.padding_mode == "replicate" for module in classifier.modules() if getattr(module, "padding", 0) == (1, 1))


def test_the_map_has_both_signs_and_its_own_gradient() -> None:
    network = generator().requires_grad_(True)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    cue = network(x)
    assert cue.map.min() < 0 < cue.map.max()
    cue.map.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


def test_under_batch_norm_the_map_cannot_vanish_on_a_whole_batch() -> None:
    """Before tanh every channel has mean 0 and variance 1 over a batch in training, whatever the layers below do."""
    network = generator(norm="batch").train()
    x = torch.rand(4, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        for p in network.last.parameters():
            p.mul_(0.2)
        seen: list[torch.Tensor] = []
        network.scale.register_forward_hook(lambda module, inputs, output: seen.append(output))
        cue = network(x)
    [drawn] = seen
    assert torch.equal(cue.map, torch.tanh(drawn))
    assert torch.allclose(drawn.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(drawn.var((0, 2, 3)), torch.ones(3), atol=0.05)
    assert not list(network.scale.parameters())


def test_the_paper_s_map_starts_small() -> None:
    x = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert 0 < float(generator()(x).map.abs().mean()) < 0.2


@pytest.mark.parametrize("wrong", [{"widths": (8, 8, 8)}, {"kernel": 4}, {"norm": "layer"}, {"stem": 0}, {"padding": "wrap"}])
def test_shapes_that_fit_nothing_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"need four|positive|norm is|padding is"):
        GeneratorConfig(**(SHAPE | wrong))
