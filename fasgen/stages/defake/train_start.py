"""What the De-fake Face Generator's training starts from: nothing, a U-Net, or a whole folder such as Stable Diffusion's.

A whole folder brings what belongs together: its U-Net, its autoencoder unless another one is named, and its projection where
tokens are projected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from diffusers import UNet2DConditionModel
from torch import nn

from fasgen.errors import ConfigError, WeightsError
from fasgen.stages.defake.model import AUTOENCODERS, Latents, load_module, read_config
from fasgen.stages.defake.tokens import LearnedTokens, PaddedTokens
from fasgen.stages.defake.training_config import DFGTraining
from fasgen.stages.weights import embedded

IDENTITY_CHANNELS = 512
"""Of the identity map, and of a token before it is padded or projected."""


class Start(NamedTuple):
    """The parts: the autoencoder is frozen, U-Net and tokens learn."""

    latents: Latents
    unet: Any
    tokens: nn.Module


def build_unet(config: DFGTraining, channels: int, size: int) -> Any:
    """A U-Net of the configured widths; the levels are named as Stable Diffusion names them."""
    down = tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in config.attention)
    up = tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(config.attention))
    return UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=config.channels,
        layers_per_block=config.layers,
        down_block_types=down,
        up_block_types=up,
        mid_block_type="UNetMidBlock2DCrossAttn",
        cross_attention_dim=config.condition,
        attention_head_dim=config.heads,
        norm_num_groups=32 if all(c % 32 == 0 for c in config.channels) else 16,
    )


def start(config: DFGTraining) -> Start:
    """Build or load the parts, for latents of ``faces.size``, which the U-Net's own configuration says from then on.

    Raises:
        WeightsError: a part is missing, unsafe, or does not fit another.
        ConfigError: settings do not fit what is started from.
    """
    whole = _whole(config)
    latents = Latents(_autoencoder(config))
    side, factor = config.faces.size, latents.factor
    if side % factor:
        raise ConfigError(
            f"faces.size={side}: the autoencoder makes one latent of {factor} px, so it must be a multiple of {factor}; "
            f"take {side - side % factor}"
        )
    unet = _unet(config, whole, int(latents.vae.config["latent_channels"]), side // factor)
    return Start(latents, unet, _tokens(config, whole, int(unet.config.cross_attention_dim)))


def autoencoder_folder(config: DFGTraining) -> Path:
    """Where the autoencoder lies: the one that is named, that of a whole folder to start from, or the embedded one."""
    if config.autoencoder != "embedded":
        folder = Path(config.autoencoder)
        return folder / "vae" if (folder / "vae").is_dir() else folder
    whole = _whole(config)
    return (whole if whole is not None and (whole / "vae").is_dir() else embedded("dfg")) / "vae"


def _whole(config: DFGTraining) -> Path | None:
    return config.init if config.init is not None and (config.init / "unet").is_dir() else None


def _autoencoder(config: DFGTraining) -> Any:
    folder = autoencoder_folder(config)
    kind = AUTOENCODERS.get(read_config(folder).get("_class_name", ""))
    if kind is None:
        raise WeightsError(f"{folder}: not one of {', '.join(AUTOENCODERS)}")
    return load_module(kind, folder)


def _unet(config: DFGTraining, whole: Path | None, channels: int, size: int) -> Any:
    if config.init is None:
        return build_unet(config, channels, size)
    folder = config.init if whole is None else whole / "unet"
    unet = load_module(UNet2DConditionModel, folder).float().requires_grad_(True)
    if unet.config.in_channels != channels or unet.config.out_channels != channels:
        raise WeightsError(
            f"init: {folder}: takes {unet.config.in_channels} channels and gives {unet.config.out_channels}, but the "
            f"autoencoder gives {channels}; name the one that it was trained with, autoencoder=FOLDER, or "
            f"give the whole folder as init"
        )
    if whole is not None and (whole / "scheduler").is_dir():
        predicts = read_config(whole / "scheduler").get("prediction_type", "epsilon")
        if predicts != config.prediction:
            raise ConfigError(
                f"init: {whole}: predicts {predicts}, but prediction={config.prediction} is trained; set prediction={predicts}"
            )
    # What it was trained at before does not count: the stage takes crops of the size that is learned here.
    unet.register_to_config(sample_size=size)
    return unet


def _tokens(config: DFGTraining, whole: Path | None, width: int) -> nn.Module:
    learned = None if whole is None or not (whole / "projection").is_dir() else whole / "projection"
    if config.projection == "learned":
        tokens: nn.Module = (
            LearnedTokens(width=width) if learned is None else load_module(LearnedTokens, learned).requires_grad_(True)
        )
        return tokens
    if learned is not None:
        raise ConfigError(f"init: {learned}: its tokens are projected, but projection=pad is trained; set projection=learned")
    if width < IDENTITY_CHANNELS:
        raise ConfigError(
            f"projection=pad: tokens have {IDENTITY_CHANNELS} channels, more than the {width} that the U-Net takes; set "
            f"projection=learned, or condition={IDENTITY_CHANNELS} or more where it is made anew"
        )
    return PaddedTokens(width)
