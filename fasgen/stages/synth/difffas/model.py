"""DiffFAS as one thing: U-Net, style encoder and noise schedule, loaded from a folder in the diffusers layout.

A folder holds ``unet/``, ``style_encoder/``, ``scheduler/scheduler_config.json`` and ``model_index.json``. Only safetensors are
read: a pickle could run code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.stages.denoising.grids import Spacing
from fasgen.stages.denoising.schedule import Prediction as PredictionType
from fasgen.stages.network_folder import read_json, write_json
from fasgen.stages.synth.difffas.diffusion import (
    Move,
    Passes,
    Sampler,
    Schedule,
    StepNoise,
    move,
    passes_for,
    sample,
    walk_of,
)
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder
from fasgen.stages.synth.difffas.unet import Prediction, Styling, UNet

_SCHEDULE = {
    "train_steps": "num_train_timesteps",
    "beta_start": "beta_start",
    "beta_end": "beta_end",
    "beta_schedule": "beta_schedule",
    "prediction_type": "prediction_type",
    "clip_sample": "clip_sample",
}
"""Fields of `Schedule` and their names in the diffusers layout."""


def anchored(output: Tensor, z_t: Tensor, live: Tensor, abar_t: Tensor, deviation: float) -> Tensor:
    """The clean image, of which the network says only what z_t and the live face together do not.

    The spoof is taken as normal about the live face with ``deviation``, z_t as the spoof with noise: the mean of what is left
    then, and its deviation, are where the output's 0 and 1 lie. This is the preconditioning of Karras et al. (2022) with the
    live face for a mean. What an untrained network sees in pure noise is the live face, so that no training is spent on that.

    Args:
        output: (B, 3, H, W) of the network.
        z_t: (B, 3, H, W).
        live: (B, 3, H, W).
        abar_t: (B, 1, 1, 1), below 1.
        deviation: of spoofs from their live faces.
    """
    noise, spread = (1 - abar_t) / abar_t, deviation**2
    mean = (spread * z_t / abar_t.sqrt() + noise * live) / (spread + noise)
    return mean + scale_of(abar_t, deviation) * output


def difference(z_t: Tensor, live: Tensor, abar_t: Tensor, deviation: float) -> Tensor:
    """z_t as an anchored network sees it: less the live face, in units of what spoof and noise deviate from it together."""
    return (z_t / abar_t.sqrt() - live) / ((1 - abar_t) / abar_t + deviation**2).sqrt()


def scale_of(abar_t: Tensor, deviation: float) -> Tensor:
    """Deviation of the clean image, given z_t and the live face, that `anchored` assumes."""
    noise, spread = (1 - abar_t) / abar_t, deviation**2
    return (spread * noise / (spread + noise)).sqrt()


class Denoiser(nn.Module):
    """The part that is trained, with "no style" in whichever form the U-Net has it, and with its anchor.

    Args:
        unet: network.
        schedule: noise levels.
    """

    _abar: Tensor

    def __init__(self, unet: UNet, schedule: Schedule) -> None:
        super().__init__()
        self.unet = unet
        # As whole numbers: floats would be rounded with the weights.
        self.register_buffer("_abar", schedule.abar().float().view(torch.int32), persistent=False)

    def forward(
        self,
        z_t: Tensor,
        live: Tensor,
        step: Tensor,
        style: Sequence[Tensor],
        null: Tensor | None,
        grey: Sequence[Tensor] | None,
    ) -> Prediction:
        """One call of the U-Net.

        Args:
            z_t: (B, 3, H, W).
            live: (B, 3, H, W).
            step: (B,) time steps from 0.
            style: style features of B samples.
            null: (B,) true where there is to be no style, or ``None``.
            grey: features (1, C, h, w) of a grey image, for a U-Net that has no tokens of its own for "no style".
        """
        return self.denoise(z_t, live, step, self.styling(style, null, grey))

    def styling(self, style: Sequence[Tensor], null: Tensor | None, grey: Sequence[Tensor] | None) -> Styling:
        """The style's part of `forward`, which is the same at every step of a walk."""
        if grey is not None and null is not None:
            style = [torch.where(null[:, None, None, None], g, k) for g, k in zip(grey, style, strict=True)]
            null = None
        return self.unet.styling(style, null)

    def denoise(self, z_t: Tensor, live: Tensor, step: Tensor, style: Styling) -> Prediction:
        """The part of `forward` that every step of a walk has anew."""
        dtype, anchor = self.unet.stem.weight.dtype, self.unet.config.anchor
        if not anchor:
            return self.unet.denoise(z_t.to(dtype), live.to(dtype), step, style)
        abar_t = self._abar.view(torch.float32)[step + 1][:, None, None, None]
        seen = difference(z_t.float(), live.float(), abar_t, anchor)
        said = self.unet.denoise(seen.to(dtype), live.to(dtype), step, style)
        return Prediction(anchored(said.output.float(), z_t.float(), live.float(), abar_t, anchor), said.variance)


class Condition(NamedTuple):
    """What a walk is conditioned on: the same at every step.

    Attributes:
        live: (N, 3, H, W) the live faces, float32.
        style: of N samples.
    """

    live: Tensor
    style: Styling


class DiffFAS(nn.Module):
    """Live face and style image in, spoof face out.

    Args:
        unet: network.
        style_encoder: frozen classifier of styles.
        schedule: noise levels.

    Raises:
        WeightsError: if the encoder's features do not fit the U-Net.
    """

    def __init__(self, unet: UNet, style_encoder: StyleEncoder, schedule: Schedule) -> None:
        super().__init__()
        if style_encoder.config.tap_channels != unet.config.style_channels:
            raise WeightsError(
                f"the style encoder gives features of {style_encoder.config.tap_channels} channels, but the U-Net takes "
                f"{unet.config.style_channels}; they are not of one model"
            )
        if unet.config.anchor and schedule.prediction_type != "sample":
            raise WeightsError(
                f"the U-Net's output is anchored, so it is a clean image, but the scheduler's prediction_type is "
                f"{schedule.prediction_type}; set it to sample"
            )
        self.denoiser, self.style_encoder, self.schedule = Denoiser(unet, schedule), style_encoder, schedule
        self.style_encoder.eval().requires_grad_(False)
        self._condition, self._step = self.condition, self.step

    @property
    def unet(self) -> UNet:
        """The network."""
        return self.denoiser.unet

    @property
    def styles(self) -> tuple[str, ...]:
        """The style keys that the encoder was trained to tell apart."""
        return self.style_encoder.config.styles

    @property
    def size(self) -> int:
        """Side of the images it was trained on, px."""
        return self.unet.config.size

    @classmethod
    def load(cls, folder: Path) -> DiffFAS:
        """From the diffusers layout.

        Raises:
            WeightsError: if a part is missing, unsafe, or does not fit another.
        """
        if not folder.is_dir():
            raise WeightsError(f"{folder}: no such folder; give one that `fasgen train difffas` wrote")
        index = read_json(folder / "model_index.json")
        if index.get("_class_name") != cls.__name__:
            raise WeightsError(f"{folder / 'model_index.json'}: is of a {index.get('_class_name')}, not of {cls.__name__}")
        try:
            return cls(
                UNet.load(folder / "unet"),
                StyleEncoder.load(folder / "style_encoder"),
                _read_schedule(folder / "scheduler" / "scheduler_config.json"),
            )
        except WeightsError as error:
            raise WeightsError(str(error) if str(folder) in str(error) else f"{folder}: {error}") from error

    def save(self, folder: Path) -> None:
        """Write the diffusers layout."""
        self.unet.save(folder / "unet")
        self.style_encoder.save(folder / "style_encoder")
        values = {name: getattr(self.schedule, field) for field, name in _SCHEDULE.items()}
        write_json(folder / "scheduler" / "scheduler_config.json", {"_class_name": "DDIMScheduler", **values})
        index = {
            "_class_name": "DiffFAS",
            "unet": ["fasgen", "UNet"],
            "style_encoder": ["fasgen", "StyleEncoder"],
            "scheduler": ["diffusers", "DDIMScheduler"],
        }
        write_json(folder / "model_index.json", index)

    def compile(self, how: Callable[[Any], Any]) -> None:
        """Put ``how`` of the conditions and of the step of a walk in their places."""
        self._condition, self._step = how(self.condition), how(self.step)

    def classify(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to probabilities (B, styles), in the order of `styles`."""
        return self.style_encoder.logits(x).float().softmax(1)

    def encode_style(self, style: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) in [-1, 1] to the style features that the U-Net takes."""
        return self.style_encoder.features(style)

    def grey(self, like: Tensor) -> tuple[Tensor, ...] | None:
        """Features of a mid-grey image of the size of ``like``, if that is what "no style" means to the U-Net."""
        return self.encode_style(torch.zeros_like(like[:1])) if self.unet.config.null == "grey" else None

    def condition(self, live: Tensor, style: Tensor, passes: Passes) -> Condition:
        """What the passes are conditioned on; of both, all samples once under their style and then once without.

        Args:
            live: (B, 3, H, W) float32.
            style: (B, 3, h, w) in the networks' precision.
            passes: which.
        """
        features = self.encode_style(style)
        if passes == "conditional":
            return Condition(live, self.denoiser.styling(features, None, None))
        null = torch.ones(len(live), dtype=torch.bool, device=live.device)
        if passes == "both":
            features = tuple(torch.cat([k, k]) for k in features)
            live, null = torch.cat([live, live]), torch.cat([~null, null])
        return Condition(live, self.denoiser.styling(features, null, self.grey(style)))

    def step(self, z_t: Tensor, before: Tensor, by: Move, draw: Tensor | None, condition: Condition) -> tuple[Tensor, Tensor]:
        """One step of a walk, the network's call and the move; see `fasgen.stages.synth.difffas.diffusion.move`."""

        def network(images: Tensor, step: Tensor) -> tuple[Tensor, Tensor | None]:
            return self.denoiser.denoise(images, condition.live, step, condition.style)

        return move(network, z_t, before, by, draw, self.schedule.clip_sample)

    @torch.no_grad()
    def synthesise(
        self,
        live: Tensor,
        style: Tensor,
        noise: Tensor,
        t: Tensor,
        gamma: Tensor,
        steps: int,
        *,
        sampler: Sampler = "ddim",
        spacing: Spacing = "even",
        guided_calls: int | None = None,
        step_noise: StepNoise | None = None,
        passes: Passes | None = None,
    ) -> Tensor:
        """Spoof faces of live people in the style of others. Nothing in it waits for the device.

        Args:
            live: (B, 3, H, W) in [-1, 1].
            style: (B, 3, H, W) in [-1, 1], spoof images of any people; their size may differ.
            noise: (B, 3, H, W) standard normal, one seed a sample.
            t: (B,) strengths, 0 to T, on the CPU; 0 returns the live face.
            gamma: (B,) guidance, on the CPU; 0 for none of the style, 1 for plain conditioning, more for more.
            steps: calls of the network.
            sampler: ``ddim``, ``dpmpp_2m`` or ``ddpm``.
            spacing: of the grid of every sample.
            guided_calls: how many calls, the first ones, make both passes, where both are made; ``None``: all. The others make
                the one under the style alone (guidance in a limited interval, Kynkäänniemi et al. 2024).
            step_noise: noise of every step, for ``ddpm``.
            passes: which are made; ``None``: those that the batch's gammas ask for. A caller whose gammas differ from batch to
                batch fixes them, since another number of passes may round otherwise.

        Returns:
            (B, 3, H, W) float32 in [-1, 1].
        """
        dtype, device, count = self.unet.stem.weight.dtype, live.device, len(live)
        passes = passes or passes_for(gamma)
        guided_calls = guided_calls if passes == "both" else 0
        walk = walk_of(t, gamma, steps, self.schedule, device, sampler=sampler, spacing=spacing, guided_calls=guided_calls)
        live = live.float().contiguous(memory_format=torch.channels_last)
        if not bool(t.any()):
            return live
        whole = self._condition(live, style.to(dtype).contiguous(memory_format=torch.channels_last), passes)
        alone = Condition(live, whole.style.first(count)) if passes == "both" else whole

        def take(z_t: Tensor, before: Tensor, by: Move, draw: Tensor | None) -> tuple[Tensor, Tensor]:
            return self._step(z_t, before, by, draw, alone if by.gamma is None else whole)

        return sample(take, live, noise.to(device, torch.float32), walk, step_noise).clamp(-1, 1)


def _read_schedule(path: Path) -> Schedule:
    values = read_json(path)
    try:
        schedule = Schedule(**{field: values[name] for field, name in _SCHEDULE.items() if name in values})
        schedule.abar()
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a noise schedule ({error})") from error
    if schedule.prediction_type not in get_args(PredictionType):
        raise WeightsError(
            f"{path}: prediction_type {schedule.prediction_type!r} is not one of {', '.join(get_args(PredictionType))}"
        )
    return schedule
