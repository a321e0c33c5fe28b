"""Backbones by name, and ImageNet weights from a path of the user's; nothing is ever downloaded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from fasgen.downstream.config import EFFICIENTNET, Backbone
from fasgen.downstream.efficientnet import EfficientNetLite0, packaged_weights
from fasgen.downstream.mobilevit import MobileVit, Sizes
from fasgen.downstream.resnet import ResNet
from fasgen.downstream.vit import Vit, resize_positions
from fasgen.errors import WeightsError

RESNETS: dict[str, tuple[int, ...]] = {
    "resnet18": (64, 128, 256, 512),
    "resnet18-small": (16, 32, 64, 128),
    "resnet18-tiny": (8, 16, 32, 64),
}
VITS: dict[str, tuple[int, int, int, int]] = {
    "vit-b16": (16, 768, 12, 12),
    "vit-small": (8, 128, 6, 4),
    "vit-tiny": (16, 64, 4, 4),
}
"""Patch, width, depth and heads."""
MOBILE_VITS: dict[str, Sizes] = {
    "mobilevit-s": Sizes((32, 64, 96, 128, 160), (144, 192, 240), 4, 640),
    "mobilevit-xs": Sizes((32, 48, 64, 80, 96), (96, 120, 144), 4, 384),
    "mobilevit-xxs": Sizes((16, 24, 48, 64, 80), (64, 80, 96), 2, 320),
}
Net = ResNet | Vit | MobileVit | EfficientNetLite0
_FIRST_LAYERS = {"conv1.weight", "patch_embed.proj.weight", "_conv_stem.weight", "stem.conv.weight"}
_BLOCK = (
    (r"ln_1\.", "norm1."),
    (r"self_attention\.in_proj_", "attn.qkv."),
    (r"self_attention\.out_proj\.", "attn.proj."),
    (r"ln_2\.", "norm2."),
    (r"mlp\.(?:0|linear_1)\.", "mlp.fc1."),
    (r"mlp\.(?:3|linear_2)\.", "mlp.fc2."),
)
_TORCHVISION = (
    ("class_token", "cls_token"),
    ("encoder.pos_embedding", "pos_embed"),
    (r"conv_proj\.", "patch_embed.proj."),
    (r"encoder\.ln\.", "norm."),
    *((rf"encoder\.layers\.encoder_layer_(\d+)\.{theirs}", rf"blocks.\1.{ours}") for theirs, ours in _BLOCK),
)
"""Patterns of torchvision's names of a vision transformer, and what is called so here, as in timm."""


def imagenet_network(channels: int = 3, path: Path | None = None) -> EfficientNetLite0:
    """EfficientNet-Lite0 with ImageNet weights.

    Args:
        channels: of the input, a multiple of three; see `load_pretrained`.
        path: of the weights; None: those that a package carries.

    Raises:
        WeightsError: the extra ``fasgen[backbone]`` is not installed, or the file does not fit.
    """
    net = EfficientNetLite0(channels)
    load_pretrained(net, path or packaged_weights())
    return net


def build_backbone(name: Backbone, size: int, channels: int) -> Net:
    """A backbone with random weights; all kinds have ``width`` and map (B, channels, H, W) to (B, width).

    Args:
        name: which.
        size: side of the images, px; a convolutional network takes any.
        channels: of the input.
    """
    if name in RESNETS:
        return ResNet(RESNETS[name], channels)
    if name in MOBILE_VITS:
        return MobileVit(MOBILE_VITS[name], channels)
    if name == EFFICIENTNET:
        return EfficientNetLite0(channels)
    patch, width, depth, heads = VITS[name]
    return Vit(size, patch, width, depth, heads, channels)


def load_pretrained(net: nn.Module, path: Path, random: Sequence[str] = ()) -> None:
    """Fill ``net`` from a state dict: safetensors, or a torch file that is read without unpickling objects.

    What the file has beyond the network (a classifier) is passed over. Positions are interpolated to the network's grid. For an
    input of 3k channels the weights of a 3-channel first layer are repeated and divided by k. Names are those of timm, which
    for ResNets are torchvision's too; torchvision's of a vision transformer are translated.

    Args:
        net: a network from `build_backbone`.
        path: the file.
        random: prefixes of parameters that stay random, as OA-Net's layer4.

    Raises:
        WeightsError: the file cannot be read, or lacks parameters, or has them in other shapes.
    """
    given = _read(path)
    own = net.state_dict()
    wanted = [name for name in own if not name.startswith(tuple(random)) and not name.endswith("num_batches_tracked")]
    missing = [name for name in wanted if name not in given]
    if missing:
        raise WeightsError(
            f"{path}: {len(missing)} of {len(wanted)} parameters are missing, first {missing[0]}; the file begins with "
            f"{next(iter(given), 'nothing')}: is it of another network? Names of timm and torchvision are understood"
        )
    for name in wanted:
        value = _fit(name, given[name], own[name])
        if value.shape != own[name].shape:
            raise WeightsError(f"{path}: {name} is {tuple(value.shape)}, the network has {tuple(own[name].shape)}")
        own[name] = value
    net.load_state_dict(own)


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        safe = path.suffix == ".safetensors"
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # readers raise whatever a damaged file makes them raise
        raise WeightsError(f"{path}: cannot be read as a state dict: {error}") from None
    for key in ("state_dict", "model"):
        state = state.get(key, state) if isinstance(state, Mapping) else state
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: is no state dict, a mapping of names to tensors")
    return {_ours(str(name).removeprefix("module.")): value for name, value in state.items()}


def _ours(name: str) -> str:
    """A parameter's name as it is here."""
    for theirs, ours in _TORCHVISION:
        if match := re.match(theirs, name):
            return match.expand(ours) + name[match.end() :]
    return name


def _fit(name: str, value: Tensor, own: Tensor) -> Tensor:
    if name == "pos_embed" and value.shape != own.shape:
        side = round((own.shape[1] - 1) ** 0.5)
        return resize_positions(value.float(), (side, side))
    if name in _FIRST_LAYERS and value.shape[1] == 3 and own.shape[1] % 3 == 0:
        times = own.shape[1] // 3
        return value.repeat(1, times, 1, 1) / times
    return value
