"""Networks of known sizes, and the ImageNet weights that they begin from, under the names that others give them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fasgen.downstream.backbones import build_backbone, load_pretrained
from fasgen.downstream.config import Backbone, ModelConfig
from fasgen.downstream.efficientnet import PACKAGE
from fasgen.downstream.mobilevit import MobileVitBlock
from fasgen.downstream.networks import TwoBranch, build_trunk
from fasgen.downstream.vit import Vit
from fasgen.errors import WeightsError


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("resnet18", 11_689_512),
        ("vit-b16", 86_567_656),
        ("mobilevit-s", 5_578_632),
        ("mobilevit-xs", 2_317_848),
        ("mobilevit-xxs", 1_272_024),
        ("efficientnet-lite0", 4_652_008),
    ],
)
def test_parameters_are_as_many_as_published(name: Backbone, published: int) -> None:
    """With the classifier of 1,000 classes, which is not built here."""
    with torch.device("meta"):
        net = build_backbone(name, 224, 3)
    assert sum(p.numel() for p in net.parameters()) + 1000 * net.width + 1000 == published


@pytest.mark.parametrize("side", [64, 80, 75])
def test_mobilevit_takes_any_side(side: int) -> None:
    """Maps of 80 px are 10, 5 and 3 px wide, which patches of 2 do not all divide."""
    net = build_backbone("mobilevit-xxs", side, 6).eval()
    with torch.inference_mode():
        assert net(torch.randn(1, 6, side, side)).shape == (1, 320)


def test_a_place_of_a_patch_attends_to_itself_alone() -> None:
    """Upper left pixels of all patches look at each other, and at no other pixel, before maps are joined."""
    block = MobileVitBlock(4, 8, 1).eval()
    seen: list[Tensor] = []
    block.transformer[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    block.conv_kxk = nn.Identity()  # type: ignore[assignment]
    block.conv_1x1 = nn.Conv2d(4, 8, 1, bias=False)
    x = torch.randn(2, 4, 6, 4)
    with torch.inference_mode():
        block(x)
        y = block.conv_1x1(x)
    assert seen[0].shape == (2 * 4, 3 * 2, 8)
    assert torch.equal(seen[0][0], y[0, :, ::2, ::2].flatten(1).T) and torch.equal(seen[0][7], y[1, :, 1::2, 1::2].flatten(1).T)


def as_torchvision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    words = {
        "cls_token": "class_token", "pos_embed": "encoder.pos_embedding", "patch_embed.proj": "conv_proj", "norm1": "ln_1",
        "attn.qkv.weight": "self_attention.in_proj_weight", "attn.qkv.bias": "self_attention.in_proj_bias", "norm2": "ln_2",
        "attn.proj": "self_attention.out_proj", "mlp.fc1": "mlp.0", "mlp.fc2": "mlp.3",
    }  # fmt: skip
    out = {}
    for name, value in state.items():
        called = name.replace("blocks.", "encoder.layers.encoder_layer_")
        called = "encoder.ln" + called.removeprefix("norm") if called.startswith("norm.") else called
        for ours, theirs in words.items():
            called = called.replace(ours, theirs)
        out[called] = value
    return out


def test_torchvisions_names_of_a_transformer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    known, other = Vit(32, 8, 24, 2, 4), Vit(32, 8, 24, 2, 4)
    theirs = as_torchvision(known.state_dict())
    assert {"encoder.layers.encoder_layer_1.self_attention.in_proj_weight", "encoder.ln.bias", "class_token"} <= set(theirs)
    save_file(theirs | {"heads.head.weight": torch.zeros(9, 24)}, tmp_path / "v.safetensors")
    load_pretrained(other, tmp_path / "v.safetensors")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in known.state_dict().items())


def test_weights_of_another_network_are_refused_in_words(tmp_path: Path) -> None:
    save_file(build_backbone("resnet18-tiny", 32, 3).state_dict(), tmp_path / "r.safetensors")
    with pytest.raises(WeightsError, match=r"are missing, first cls_token; the file begins with bn1\..*another network"):
        load_pretrained(Vit(32, 8, 24, 1, 4), tmp_path / "r.safetensors")


def test_two_transformers_side_by_side() -> None:
    config = ModelConfig(use="two_branch", backbone="vit-tiny", cue_backbone="vit-tiny")
    trunk = build_trunk(config, 32, 6)
    assert isinstance(trunk, TwoBranch) and trunk(torch.zeros(2, 3, 32, 32), torch.zeros(2, 6, 32, 32)).shape == (2, 128)


def test_imagenets_weights_by_a_word() -> None:
    pytest.importorskip(PACKAGE)
    first = build_trunk(ModelConfig(use="image", backbone="efficientnet-lite0", imagenet=True), 64, 0)
    second = build_trunk(ModelConfig(use="image", backbone="efficientnet-lite0", imagenet=True), 64, 0)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
