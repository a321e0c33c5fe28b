"""A generator in use: batches of crops in, what it says of each out, in the stage and in synthesis alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.errors import ConfigError
from fasgen.stages.batching import resolve_dtype
from fasgen.stages.stdn.generator import Analysis, Generator


class Disentangler:
    """A generator on a device.

    Args:
        folder: of the generator.
        device: where it computes.
        dtype: name of its precision, or ``auto``.
        any_size: take crops of another size than it was trained on.
        key: the stage's key in the configuration, for messages.

    Raises:
        WeightsError: if the weights are missing, unsafe or do not fit.
    """

    def __init__(self, folder: Path, device: torch.device, dtype: str, any_size: bool, key: str) -> None:
        self.device, self.dtype = device, resolve_dtype(dtype, device)
        self._any_size, self._key = any_size, key
        generator = Generator.load(folder).to(device, self.dtype)
        self.generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.alpha0 = float(generator.config.alpha0)

    def unit(self, crops: NDArray[np.uint8]) -> Tensor:
        """Levels (B, H, W, 3) to (B, 3, H, W) in [0, 1], float32, on the device.

        Raises:
            ConfigError: if the crops have not the size that the network was trained on, or one that it cannot take.
        """
        height, width = crops.shape[1:3]
        trained, factor = self.generator.config.size, self.generator.config.factor
        if (height, width) != (trained, trained) and not self._any_size:
            raise ConfigError(
                f"crops of {width} x {height} px, but STDN+'s weights were trained on {trained}: set align.size={trained}, "
                f"or {self._key}.any_size=true"
            )
        if height != width or height % factor:
            raise ConfigError(
                f"crops of {width} x {height} px do not suit STDN+'s network: it takes squares of multiples of {factor} px"
            )
        return torch.from_numpy(crops).to(self.device).permute(0, 3, 1, 2).to(torch.float32) / 255

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Analysis:
        """Take (B, 3, S, S) in [0, 1] apart; traces and depth are float32."""
        said: Analysis = self.generator(image)
        return said


def finite(*tensors: Tensor) -> list[bool]:
    """Of each sample, whether all of its numbers are finite."""
    ok = torch.stack([torch.isfinite(tensor).flatten(1).all(1) for tensor in tensors]).all(0)
    found: list[bool] = ok.tolist()
    return found
