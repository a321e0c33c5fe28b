"""The style encoder: shapes, taps, and its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fasgen.stages.synth.difffas.style_encoder import StyleEncoder, StyleEncoderConfig

from .tiny import STYLES, encoder, images


def test_taps_are_the_stages_outputs_of_the_same_pass() -> None:
    network, x = encoder(), images(2)
    style = network(x)
    assert [tuple(f.shape) for f in style.features] == [(2, 8, 8, 8), (2, 16, 4, 4)] and style.logits.shape == (2, 3)
    assert all(torch.equal(a, b) for a, b in zip(network.features(x), style.features, strict=True))
    assert torch.equal(network.logits(x), style.logits)
    assert torch.equal(network.fc(style.features[-1].mean((2, 3))), style.logits)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 64)])
def test_any_size_of_image(size: tuple[int, int]) -> None:
    style = encoder()(images(2, *size))
    assert style.logits.shape == (2, 3) and bool(torch.isfinite(style.logits).all())


def test_features_carry_no_graph_but_logits_do() -> None:
    network, x = encoder(), images(1)
    assert not any(f.requires_grad for f in network.features(x)) and network.logits(x).requires_grad


def test_saved_and_loaded_with_its_styles(tmp_path: Path) -> None:
    network = encoder()
    network.save(tmp_path)
    again = StyleEncoder.load(tmp_path)
    assert again.config == network.config and again.config.styles == STYLES and not again.training
    assert torch.equal(again.logits(images(1)), network.logits(images(1)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"taps": (3, 2)}, "rising stages"),
        ({"taps": (5,)}, "1 to 4"),
        ({"blocks": (1, 2)}, "2 numbers of blocks, but 4 widths"),
    ],
)
def test_a_shape_that_does_not_hold_together(changes: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StyleEncoderConfig(STYLES, **changes)
