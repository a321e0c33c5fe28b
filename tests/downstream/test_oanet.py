"""OA-Net begins as the plain transformer, to the last bit, and takes a cue of any size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fasgen.downstream.backbones import build_backbone, load_pretrained
from fasgen.downstream.oanet import OaNet
from fasgen.downstream.resnet import ResNet
from fasgen.downstream.vit import Vit
from fasgen.errors import ConfigError, WeightsError


@pytest.fixture
def vit() -> Vit:
    torch.manual_seed(0)
    return Vit(32, 8, 24, 3, 4)


@pytest.fixture
def net(vit: Vit) -> OaNet:
    return OaNet(vit, ResNet((4, 4, 8, 8), channels=6))


@pytest.mark.parametrize("training", [True, False])
def test_at_step_0_it_equals_the_plain_transformer_to_the_last_bit(net: OaNet, training: bool) -> None:
    net.train(training)
    image, cue = torch.randn(3, 3, 32, 32), torch.randn(3, 6, 64, 64)
    assert torch.equal(net(image, cue), net.vit(image))


def test_the_published_preset_has_the_published_size() -> None:
    with torch.device("meta"):  # shapes alone: 86 million random numbers would take seconds
        full = build_backbone("vit-b16", 224, 3)
        assert isinstance(full, Vit) and sum(p.numel() for p in full.parameters()) == 85_798_656
        net = OaNet(full, ResNet())
        image, cue = torch.empty(2, 3, 224, 224), torch.empty(2, 3, 224, 224)
        assert net.cue_tokens(cue).shape == (2, 49, 512) and net(image, cue).shape == (2, 768)


def test_the_small_preset_begins_as_the_plain_transformer_too() -> None:
    torch.manual_seed(0)
    plain = build_backbone("vit-small", 64, 3)
    assert isinstance(plain, Vit)
    net = OaNet(plain, ResNet((4, 4, 8, 8))).eval()
    image, cue = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 112, 112)
    assert torch.equal(net(image, cue), plain(image))


def test_the_cue_is_learned_from_the_first_step(net: OaNet) -> None:
    image, cue = torch.randn(3, 3, 32, 32), torch.randn(3, 6, 64, 64)
    net(image, cue).square().sum().backward()
    assert all(cross.proj.weight.grad.abs().max() > 0 for cross in net.cross)  # type: ignore[union-attr, operator]
    with torch.no_grad():
        for cross in net.cross:
            cross.proj.weight.normal_()  # type: ignore[union-attr, operator]
    assert not torch.allclose(net(image, cue), net.vit(image))


@pytest.mark.parametrize("height, width", [(64, 64), (32, 96), (100, 40), (256, 256)])
def test_cue_tokens_of_any_size_keep_samples_apart_and_channels_whole(net: OaNet, height: int, width: int) -> None:
    net.eval()
    cue = torch.randn(3, 6, height, width)
    tokens, maps = net.cue_tokens(cue), net.encoder.maps(cue)
    assert tokens.shape == (3, maps.shape[2] * maps.shape[3], 8)
    for row in range(maps.shape[2]):
        for column in range(maps.shape[3]):
            assert torch.equal(tokens[:, row * maps.shape[3] + column], maps[:, :, row, column])
    assert torch.allclose(net.cue_tokens(cue[1:2])[0], tokens[1], atol=1e-5)
    assert net(torch.randn(3, 3, 32, 32), cue).shape == (3, 24)


def test_attention_is_that_of_torch(vit: Vit) -> None:
    own = vit.blocks[0].attn
    reference = nn.MultiheadAttention(24, 4, batch_first=True)
    reference.in_proj_weight.data, reference.in_proj_bias.data = own.qkv.weight.data, own.qkv.bias.data  # type: ignore[union-attr]
    reference.out_proj.load_state_dict(own.proj.state_dict())  # type: ignore[union-attr]
    x = torch.randn(2, 5, 24)
    assert torch.allclose(own(x), reference(x, x, x, need_weights=False)[0], atol=1e-6)  # type: ignore[operator]


def test_images_of_other_sizes_interpolate_positions(vit: Vit) -> None:
    assert vit(torch.randn(2, 3, 48, 32)).shape == (2, 24)
    with pytest.raises(ConfigError, match="multiples of 8"):
        vit(torch.randn(1, 3, 30, 32))
    with pytest.raises(ConfigError, match="do not divide"):
        Vit(30, 8, 24, 1, 4)


def test_resnet18_has_the_published_size_and_names() -> None:
    net = ResNet()
    assert sum(p.numel() for p in net.parameters()) == 11_689_512 - 513_000  # torchvision's, less its classifier
    names = set(net.state_dict())
    assert {
        "conv1.weight",
        "bn1.running_var",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.1.bias",
        "layer4.1.bn2.weight",
    } <= names
    assert "layer1.0.downsample.0.weight" not in names
    assert ResNet((4, 4, 8, 8)).maps(torch.randn(1, 3, 224, 224)).shape == (1, 8, 7, 7)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_pretrained_weights_come_from_a_path(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    source, path = ResNet((4, 4, 8, 8)), tmp_path / f"w.{suffix}"
    state = {**source.state_dict(), "fc.weight": torch.zeros(10, 8)}
    if suffix == "pt":
        torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, path)
    else:
        save_file(state, path)
    net = ResNet((4, 4, 8, 8), channels=6)
    before = net.layer4[0].conv1.weight.detach().clone()  # type: ignore[union-attr, operator]
    load_pretrained(net, path, random=("layer4.",))
    assert torch.equal(net.layer3[0].conv1.weight, source.layer3[0].conv1.weight)  # type: ignore[arg-type]
    assert torch.equal(net.layer4[0].conv1.weight, before)  # type: ignore[arg-type]
    x = torch.randn(1, 3, 32, 32)
    assert torch.allclose(net.eval().stem(x.repeat(1, 2, 1, 1)), source.eval().stem(x), atol=1e-5)


def test_positions_of_pretrained_transformers_are_interpolated(tmp_path: Path, vit: Vit) -> None:
    save_file(vit.state_dict(), tmp_path / "v.safetensors")
    larger = Vit(64, 8, 24, 3, 4)
    load_pretrained(larger, tmp_path / "v.safetensors")
    image = torch.randn(1, 3, 64, 64)
    assert torch.allclose(larger(image), vit(image), atol=1e-5)


def test_weights_that_do_not_fit_or_are_pickles_are_refused(tmp_path: Path) -> None:
    save_file(ResNet((4, 4, 8, 8)).state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"conv1\.weight is \(4, 3, 7, 7\)"):
        load_pretrained(ResNet((8, 8, 8, 8)), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="parameters are missing, first"):
        load_pretrained(Vit(32, 8, 24, 1, 4), tmp_path / "w.safetensors")
    torch.save(ResNet((4, 4, 8, 8)), tmp_path / "object.pt")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_pretrained(ResNet((4, 4, 8, 8)), tmp_path / "object.pt")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_pretrained(ResNet((4, 4, 8, 8)), tmp_path / "none.safetensors")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(WeightsError, match="no state dict"):
        load_pretrained(ResNet((4, 4, 8, 8)), tmp_path / "list.pt")
