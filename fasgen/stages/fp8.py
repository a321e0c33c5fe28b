"""Products in eight bits: linear layers and 1 x 1 convolutions whose inputs are rounded to float8 where they are used.

Weights keep one scale an output channel, activations get one a row (a token, a pixel), found anew each time. So a sample's
numbers depend on nobody else's, and nothing has to be calibrated. Rows are multiplied by ``torch._scaled_mm`` where the device
has products of float8 (compute capability 8.9 and above); elsewhere the same rounding is emulated in float32, which measures
its price in quality and saves no time.

3 x 3 convolutions stay as they are. As a product, one has to write and read its input unfolded: for C channels in and out and
P pixels, 18 C P bytes more than a convolution that gathers as it goes, and it halves the time of 18 C^2 P operations. At the
rates of an H100 (600 TFLOP/s in bfloat16, 1,200 in float8, 2.5 TB/s) that costs 7.2e-12 C P seconds to save 1.5e-14 C^2 P: it
loses below 480 channels, gains a tenth at 640 and a third at 1280. In Stable Diffusion 1.5's U-Net 28 % of all operations are
in 3 x 3 convolutions of 1280 input channels and more, so the whole call would gain 8 % at most, if unfolding ran at the full
rate of the memory. The layers here hold 40 % of the operations, and need no unfolding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fasgen.errors import ConfigError

FLOAT8 = torch.float8_e4m3fn
"""Four bits of exponent, three of mantissa; up to 448, no infinity."""
LARGEST = torch.finfo(FLOAT8).max
CAPABILITY = (8, 9)
"""Of the first CUDA devices with products of float8."""
MULTIPLE = 16
"""Of which a product's channels must be multiples."""

KEPT = ("time_emb", "attn2.to_k", "attn2.to_v")
"""Layers that are left alone, by a part of their name: what the noise level and the identity pass through costs next to
nothing."""


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Each row in float8 under the scale that takes its largest magnitude to the largest number.

    Args:
        rows: (M, K) of any floating type.

    Returns:
        (M, K) float8 and (M, 1) float32: ``rows`` is about their product. A row that is not finite stays so.
    """
    wide = rows.float()
    # The floor keeps rows of zeros from dividing by zero.
    scale = wide.abs().amax(1, keepdim=True).clamp_min(1e-12) / LARGEST
    return (wide / scale).to(FLOAT8), scale


class Linear8(nn.Module):
    """A linear layer with products of float8.

    Args:
        layer: the layer, whose weight is taken and rounded.
        native: multiply in float8; else emulate it in float32.
    """

    weight: Tensor
    scale: Tensor

    def __init__(self, layer: nn.Linear | nn.Conv2d, native: bool) -> None:
        super().__init__()
        weight, scale = quantised(layer.weight.detach().flatten(1))
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale.T.contiguous())
        self.bias = layer.bias
        self.native = native

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) to (..., N), in the type of ``x``."""
        rows, scale = quantised(x.reshape(-1, x.shape[-1]))
        if self.native:
            out = torch._scaled_mm(
                rows, self.weight.T, scale_a=scale, scale_b=self.scale, out_dtype=torch.bfloat16, use_fast_accum=True
            )
        else:
            out = (rows.float() @ self.weight.float().T * scale * self.scale).to(torch.bfloat16)
        out = out.to(x.dtype).view(*x.shape[:-1], -1)
        return out if self.bias is None else out + self.bias


class Pointwise8(Linear8):
    """A 1 x 1 convolution with products of float8: a linear layer of each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, H, W) to (B, N, H, W), both best in channels_last."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def in_float8(network: nn.Module, device: torch.device) -> int:
    """Replace the layers of ``network`` that are worth it by those that multiply in float8; how many they were.

    Args:
        network: lies on ``device``, in bfloat16.
        device: where it computes; on a CPU, float8 is emulated.

    Raises:
        ConfigError: the device is a GPU without products of float8.
    """
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < CAPABILITY:
        name, (major, minor) = torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device)
        raise ConfigError(
            f"dtype=fp8: {name} has no products of float8 (compute capability {major}.{minor}, {CAPABILITY[0]}.{CAPABILITY[1]} "
            "is needed); take dtype=bf16"
        )
    found = [
        (parent, name, layer)
        for path, parent in network.named_modules()
        for name, layer in parent.named_children()
        if _is_worth_it(layer) and not any(part in f"{path}.{name}" for part in KEPT)
    ]
    for parent, name, layer in found:
        kind = Linear8 if isinstance(layer, nn.Linear) else Pointwise8
        setattr(parent, name, kind(layer, native=device.type == "cuda"))
    return len(found)


def _is_worth_it(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        if layer.kernel_size != (1, 1) or layer.stride != (1, 1) or layer.padding != (0, 0) or layer.groups != 1:
            return False
    elif not isinstance(layer, nn.Linear):
        return False
    return layer.weight.shape[0] % MULTIPLE == 0 and layer.weight.shape[1] % MULTIPLE == 0
