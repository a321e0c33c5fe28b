"""DiffFAS's U-Net (section 3.2 and supplement): noisy target and live face in, noise out, style by fusion modules.

The frame is that of guided diffusion (Dhariwal and Nichol 2021): GroupNorm and SiLU, BigGAN's residual blocks to halve and to
double, scale and shift by the time embedding. There is no self-attention: its place after the second residual block of a level
is taken by an STFM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.stages.network_folder import load_network, save_network
from fasgen.stages.synth.difffas.stfm import STFM, Answers, group_norm


@dataclass(frozen=True)
class UNetConfig:
    """Shape of the U-Net; the defaults are the paper's.

    Attributes:
        size: side of the images it was trained on, px; any other works.
        base: channels of a multiplier of 1.
        multipliers: of each level, the finest first; a level has half the side of the one before.
        blocks: residual blocks a level on the way down; one more on the way up.
        fusion: levels, counted from 0, with an STFM on either way; the middle has one in any case.
        style_channels: channels of the style feature of each of these levels.
        mean_patches: p_mu of each of these levels.
        variance_patches: p_sigma of each of these levels.
        dropout: inside residual blocks.
        learned_variance: predict where the variance lies between beta and its posterior (Nichol and Dhariwal 2021).
        patch: pixels folded into channels, each way; 1 is the paper's, 2 makes everything four times cheaper.
        null: what "no style" is: tokens that each STFM learns, or a grey image seen through the style encoder.
        anchor: deviation of spoofs from their live faces, for an output that is measured from them
            (`fasgen.stages.synth.difffas.model.anchored`); 0 is the paper's plain output.
        modulated: the style's mean features join the time embedding, which also steers a 1 x 1 path from input to output. The
            paper fuses by its modules alone; small networks learn colours and contrast sooner with it.
    """

    size: int = 256
    base: int = 128
    multipliers: tuple[int, ...] = (1, 1, 2, 2, 4, 4)
    blocks: int = 2
    fusion: tuple[int, ...] = (3, 4, 5)
    style_channels: tuple[int, ...] = (256, 512, 512)
    mean_patches: tuple[int, ...] = (6, 6, 6)
    variance_patches: tuple[int, ...] = (2, 2, 2)
    dropout: float = 0.1
    learned_variance: bool = True
    patch: int = 1
    null: Literal["learned", "grey"] = "learned"
    anchor: float = 0.0
    modulated: bool = False

    def __post_init__(self) -> None:
        levels = len(self.multipliers)
        if not self.fusion or list(self.fusion) != sorted(set(self.fusion)) or self.fusion[0] < 0 or self.fusion[-1] >= levels:
            raise ValueError(f"fusion {self.fusion} are not rising levels of 0 to {levels - 1}")
        for name in ("style_channels", "mean_patches", "variance_patches"):
            values: tuple[int, ...] = getattr(self, name)
            if len(values) != len(self.fusion) or min(values) < 1:
                raise ValueError(f"{name} {values} must be {len(self.fusion)} numbers above 0, one a level of fusion")


class Prediction(NamedTuple):
    """What the network says.

    Attributes:
        output: (B, 3, H, W) noise, velocity or clean image.
        variance: (B, 3, H, W) place of the log-variance, -1 at the posterior's and 1 at beta; ``None`` where not learned.
    """

    output: Tensor
    variance: Tensor | None


class Styling(NamedTuple):
    """All that a style has to say to the network, the same at every step of a walk.

    Attributes:
        fusions: of each STFM, in the order in which a map meets them.
        vector: (B, time) what joins the time embedding; ``None`` in a network that is not modulated.
    """

    fusions: tuple[Answers, ...]
    vector: Tensor | None

    def first(self, count: int) -> Styling:
        """Of the first ``count`` samples."""
        fusions = tuple(Answers(*(part[:count] for part in answers)) for answers in self.fusions)
        return Styling(fusions, None if self.vector is None else self.vector[:count])


def time_embedding(t: Tensor, width: int) -> Tensor:
    """Sinusoids (B, width) of time steps (B,), with wavelengths from 2 pi to 20,000 pi (Ho et al. 2020)."""
    half = width // 2
    frequency = torch.exp(-math.log(10_000) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angle = t.float()[:, None] * frequency[None]
    return torch.cat([angle.cos(), angle.sin()], 1)


class ResBlock(nn.Module):
    """Residual block with time; halves, doubles or keeps the size (BigGAN's variants: both branches resample alike).

    Args:
        inside: channels in.
        outside: channels out.
        time: width of the time embedding.
        dropout: before the last convolution, which starts at zero.
        down: halve the size.
    """

    def __init__(self, inside: int, outside: int, time: int, dropout: float, down: bool = False) -> None:
        super().__init__()
        self.norm1, self.conv1 = group_norm(inside), nn.Conv2d(inside, outside, 3, padding=1)
        self.time = nn.Linear(time, 2 * outside)
        self.norm2, self.conv2 = group_norm(outside), nn.Conv2d(outside, outside, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]
        self.dropout = nn.Dropout(dropout)
        self.shortcut: nn.Module = nn.Identity() if inside == outside else nn.Conv2d(inside, outside, 1)
        self.down = down

    def forward(self, x: Tensor, time: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        """(B, inside, H, W) and (B, time) to (B, outside, H', W'); ``size`` is what a doubling block ends at."""
        h = F.silu(self.norm1(x))
        if self.down:
            # An odd row or column at the edge is averaged with nothing, so that no pixel is lost.
            x, h = F.avg_pool2d(x, 2, ceil_mode=True), F.avg_pool2d(h, 2, ceil_mode=True)
        elif size is not None:
            x, h = F.interpolate(x, size, mode="nearest"), F.interpolate(h, size, mode="nearest")
        h = self.conv1(h)
        scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, 1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        out: Tensor = self.shortcut(x) + self.conv2(self.dropout(h))
        return out


class Level(nn.Module):
    """The residual blocks of one level on one way, its STFM after the second, and the block that leaves the level."""

    def __init__(self, blocks: Sequence[nn.Module], fusion: STFM | None, leave: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.fusion, self.leave = fusion, leave
        self.fused_after = min(1, len(blocks) - 1)


class Modulation(nn.Module):
    """The style as one vector beside the time, and a path from input to output that both steer.

    Args:
        channels: of all style features together.
        time: width of the time embedding.
        inputs: channels of the folded input.
        outputs: channels of the folded output.
    """

    def __init__(self, channels: int, time: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, time), nn.SiLU(), nn.Linear(time, time))
        self.null = nn.Parameter(torch.zeros(time))
        self.gain, self.shift = nn.Linear(time, inputs), nn.Linear(time, outputs)
        self.path = nn.Conv2d(inputs, outputs, 1, bias=False)
        for start in (self.gain, self.shift, self.path):
            nn.init.zeros_(start.weight)
        nn.init.zeros_(self.gain.bias)
        nn.init.zeros_(self.shift.bias)

    def style(self, features: Sequence[Tensor], null: Tensor | None) -> Tensor:
        """(B, time) of the features' means; where there is to be no style, what was learned for that."""
        vector: Tensor = self.embed(torch.cat([k.mean((2, 3)) for k in features], 1).to(self.null.dtype))
        return vector if null is None else torch.where(null[:, None], self.null, vector)

    def direct(self, folded: Tensor, time: Tensor) -> Tensor:
        """(B, outputs, H, W): the input mixed pixel by pixel, with a gain and an offset of each sample's own."""
        time = F.silu(time)
        out: Tensor = self.path(folded * (1 + self.gain(time)[:, :, None, None])) + self.shift(time)[:, :, None, None]
        return out


class UNet(nn.Module):
    """DiffFAS's U-Net.

    Args:
        config: shape.
    """

    def __init__(self, config: UNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or UNetConfig()
        widths = [config.base * m for m in config.multipliers]
        time, fold = 4 * config.base, config.patch**2
        self.time = nn.Sequential(nn.Linear(config.base, time), nn.SiLU(), nn.Linear(time, time))
        self.stem = nn.Conv2d(6 * fold, widths[0], 3, padding=1)

        def fusion(level: int) -> STFM:
            at = config.fusion.index(level) if level in config.fusion else -1
            return STFM(
                widths[level],
                config.style_channels[at],
                config.mean_patches[at],
                config.variance_patches[at],
                config.null == "learned",
            )

        def block(inside: int, outside: int, down: bool = False) -> ResBlock:
            return ResBlock(inside, outside, time, config.dropout, down)

        channels, skips = widths[0], [widths[0]]
        down: list[Level] = []
        for level, width in enumerate(widths):
            blocks = []
            for _ in range(config.blocks):
                blocks.append(block(channels, width))
                channels = width
                skips.append(channels)
            last = level == len(widths) - 1
            down.append(
                Level(blocks, fusion(level) if level in config.fusion else None, None if last else block(width, width, True))
            )
            if not last:
                skips.append(channels)
        self.down = nn.ModuleList(down)
        self.middle = nn.ModuleList([block(channels, channels), fusion(len(widths) - 1), block(channels, channels)])
        up: list[Level] = []
        for level, width in reversed(list(enumerate(widths))):
            blocks = []
            for _ in range(config.blocks + 1):
                blocks.append(block(channels + skips.pop(), width))
                channels = width
            up.append(Level(blocks, fusion(level) if level in config.fusion else None, block(width, width) if level else None))
        self.up = nn.ModuleList(up)
        self.norm = group_norm(channels)
        outputs = (6 if config.learned_variance else 3) * fold
        self.out = nn.Conv2d(channels, outputs, 3, padding=1)
        self.modulation = Modulation(sum(config.style_channels), time, 6 * fold, outputs) if config.modulated else None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, z_t: Tensor, live: Tensor, t: Tensor, style: Sequence[Tensor], null: Tensor | None = None) -> Prediction:
        """One call.

        Args:
            z_t: (B, 3, H, W) noisy target.
            live: (B, 3, H, W) the live face, clean, in [-1, 1].
            t: (B,) time steps, 0 to T - 1.
            style: style features (B, C, h, w) of the levels of fusion, the finest first.
            null: (B,) true where there is to be no style; only with learned null tokens.
        """
        return self.denoise(z_t, live, t, self.styling(style, null))

    def styling(self, style: Sequence[Tensor], null: Tensor | None = None) -> Styling:
        """The style's part of `forward`."""
        at = dict(zip(self.config.fusion, style, strict=True))
        down, up = self._levels(self.down), self._levels(self.up)
        met = [(part.fusion, level) for level, part in enumerate(down)]
        met += [(cast(STFM, self.middle[1]), self.config.fusion[-1])]
        met += [(part.fusion, len(down) - 1 - number) for number, part in enumerate(up)]
        fusions = tuple(fusion.answers(at[level], null) for fusion, level in met if fusion is not None)
        return Styling(fusions, None if self.modulation is None else self.modulation.style(style, null))

    def denoise(self, z_t: Tensor, live: Tensor, t: Tensor, style: Styling) -> Prediction:
        """The part of `forward` that every step of a walk has anew."""
        height, width = z_t.shape[2:]
        folded = self._fold(torch.cat([z_t, live.to(z_t.dtype)], 1))
        time = self.time(time_embedding(t, self.config.base).to(folded.dtype))
        if style.vector is not None:
            time = time + style.vector
        x = self.stem(folded)
        fusions = iter(style.fusions)
        skips = [x]
        for part in self._levels(self.down):
            for index, block in enumerate(part.blocks):
                x = block(x, time)
                if part.fusion is not None and index == part.fused_after:
                    x = part.fusion.fuse(x, next(fusions))
                skips.append(x)
            if part.leave is not None:
                x = part.leave(x, time)
                skips.append(x)
        first, fusion, second = self.middle
        x = second(cast(STFM, fusion).fuse(first(x, time), next(fusions)), time)
        for part in self._levels(self.up):
            for index, block in enumerate(part.blocks):
                x = block(torch.cat([x, skips.pop()], 1), time)
                if part.fusion is not None and index == part.fused_after:
                    x = part.fusion.fuse(x, next(fusions))
            if part.leave is not None:
                x = part.leave(x, time, cast(tuple[int, int], tuple(skips[-1].shape[2:])))
        x = self.out(F.silu(self.norm(x)))
        if self.modulation is not None:
            x = x + self.modulation.direct(folded, time)
        x = F.pixel_shuffle(x, self.config.patch)[..., :height, :width]
        if self.config.learned_variance:
            output, variance = x.chunk(2, 1)
            return Prediction(output, variance)
        return Prediction(x, None)

    @staticmethod
    def _levels(modules: nn.ModuleList) -> list[Level]:
        return cast(list[Level], list(modules))

    def _fold(self, x: Tensor) -> Tensor:
        """Pixels to channels; a size that is no multiple of the patch is continued by its edge."""
        patch = self.config.patch
        if patch == 1:
            return x
        x = F.pad(x, (0, -x.shape[3] % patch, 0, -x.shape[2] % patch), mode="replicate")
        return F.pixel_unshuffle(x, patch).contiguous(memory_format=torch.channels_last)

    def save(self, folder: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        save_network(self, self.config, folder)

    @classmethod
    def load(cls, folder: Path) -> UNet:
        """From a folder that `save` wrote.

        Raises:
            WeightsError: see `fasgen.stages.network_folder.load_network`.
        """
        return load_network(folder, cls, UNetConfig)
