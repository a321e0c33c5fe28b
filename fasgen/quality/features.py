"""Features of pictures by a network that learnt nothing of faces or attacks, or by one of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.downstream.backbones import build_backbone, imagenet_network, load_pretrained
from fasgen.downstream.config import Backbone
from fasgen.errors import WeightsError

RGB = NDArray[np.uint8]
Floats = NDArray[np.float32]

PACKAGED = "efficientnet-lite0"
_BATCH = 32

Scale = Literal["signed", "unit", "levels", "imagenet", "lite"]
"""How levels 0 to 255 become numbers: [-1, 1]; [0, 1]; as they are; minus ImageNet's means over its deviations; or
(level - 127) / 128, as EfficientNet-Lite has it."""

_SCALED: dict[Scale, tuple[Sequence[float], Sequence[float]]] = {
    "signed": ((127.5,), (127.5,)),
    "unit": ((0.0,), (255.0,)),
    "levels": ((0.0,), (1.0,)),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "lite": ((127.0,), (128.0,)),
}
"""What is taken off, and what it is divided by."""


@dataclass(frozen=True, slots=True)
class Extractor:
    """A network that gives features.

    Attributes:
        name: as tables call it.
        call: (B, 3, side, side) float32 to (B, D).
        side: to which pictures are resized, px.
        scale: of its input.
    """

    name: str
    call: Callable[[Tensor], Tensor]
    side: int
    scale: Scale

    def __call__(self, pictures: Iterable[RGB]) -> Floats:
        """Features (N, D) of pictures H x W x 3, of any size.

        Raises:
            WeightsError: the network does not take them, or gives no vector of finite numbers for each.
        """
        found, rest = [], iter(pictures)
        while batch := list(islice(rest, _BATCH)):
            found.append(self._features(batch))
        return np.concatenate(found) if found else np.empty((0, 0), np.float32)

    @torch.inference_mode()
    def _features(self, batch: Sequence[RGB]) -> Floats:
        x = torch.from_numpy(np.stack([self._input(picture) for picture in batch])).permute(0, 3, 1, 2).contiguous()
        try:
            out = self.call(x)
        except Exception as error:  # a network of the user's raises whatever it does
            raise WeightsError(
                f"{self.name}: does not take pictures {tuple(x.shape)}: {_line(error)}: give its --side"
            ) from None
        if not isinstance(out, Tensor) or out.shape[0] != len(batch):
            raise WeightsError(f"{self.name}: gives no features (B, D), one vector a picture")
        flat = out.float().flatten(1).cpu().numpy()
        if not np.isfinite(flat).all():
            raise WeightsError(f"{self.name}: gives numbers that are not finite: is --scale {self.scale} its own?")
        return flat

    def _input(self, picture: RGB) -> Floats:
        smaller = max(picture.shape[:2]) > self.side
        how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        large = cv2.resize(picture.astype(np.float32), (self.side, self.side), interpolation=how)
        off, over = (np.array(part, np.float32) for part in _SCALED[self.scale])
        out: Floats = (large - off) / over
        return out


def load_extractor(network: str, side: int, scale: Scale | None, device: torch.device) -> Extractor:
    """The network by its name or its file.

    Args:
        network: ``efficientnet-lite0`` (the extra ``backbone``); a file ``.onnx``, TorchScript (``.pt``, ``.ts``), or
            ``.safetensors`` of ResNet-18, ViT-B/16 or EfficientNet-Lite0. It gives (B, D), or a map, which is flattened.
        side: of its input, px.
        scale: of its input; None: ``lite`` for EfficientNet-Lite0, ``imagenet`` for others.
        device: where it computes; ONNX on the CPU.

    Raises:
        WeightsError: it is not there, is damaged, or of another kind.
    """
    path = Path(network)
    if network == PACKAGED:
        return Extractor(network, _still(imagenet_network(), device), side, scale or "lite")
    if not path.is_file():
        raise WeightsError(f"{network}: is no file, and {PACKAGED} is the only network known by name")
    if path.suffix == ".safetensors":
        return _of_state(path, side, scale, device)
    if path.suffix == ".onnx":
        return Extractor(path.name, _onnx(path), side, scale or "imagenet")
    try:
        script: Any = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError) as error:
        raise WeightsError(
            f"{path}: is no TorchScript ({_line(error)}): a network is .onnx, TorchScript or .safetensors"
        ) from None
    return Extractor(path.name, lambda x: script(x.to(device)), side, scale or "imagenet")


def _of_state(path: Path, side: int, scale: Scale | None, device: torch.device) -> Extractor:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            names = set(file.keys())
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: is not readable as safetensors ({error})") from None
    if "_conv_stem.weight" in names:
        net: Any = imagenet_network(path=path)
        return Extractor(path.name, _still(net, device), side, scale or "lite")
    kinds: dict[str, Backbone] = {"conv1.weight": "resnet18", "patch_embed.proj.weight": "vit-b16"}
    kind = next((kind for name, kind in kinds.items() if name in names), None)
    if kind is None:
        raise WeightsError(
            f"{path}: holds none of ResNet-18, ViT-B/16 and EfficientNet-Lite0: export it as TorchScript or ONNX"
        )
    net = build_backbone(kind, side, 3)
    load_pretrained(net, path)
    return Extractor(path.name, _still(net, device), side, scale or "imagenet")


def _still(net: torch.nn.Module, device: torch.device) -> Callable[[Tensor], Tensor]:
    ready: Any = net.eval().requires_grad_(False).to(device)
    return lambda x: ready(x.to(device))


def _onnx(path: Path) -> Callable[[Tensor], Tensor]:
    try:
        import onnxruntime
    except ImportError:
        raise WeightsError(f"{path}: networks in ONNX need the extra: pip install 'fasgen[onnx]'") from None
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has exceptions of its own
        raise WeightsError(f"{path}: is no network in ONNX ({_line(error)})") from None
    entry = session.get_inputs()[0].name
    return lambda x: torch.from_numpy(session.run(None, {entry: x.numpy()})[0])


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
