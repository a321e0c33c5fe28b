"""The networks that fasgen has: those that come with it and those of the papers, with their size and the cost of a call.

Nothing is computed: shapes are followed on the meta device, which holds no numbers, so the largest network takes a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from fasgen.stages.defake.autoencoder import PatchAutoencoder
from fasgen.stages.defake.model import AUTOENCODERS, read_config
from fasgen.stages.defake.train_start import build_unet
from fasgen.stages.defake.training_config import DFGTraining
from fasgen.stages.identify.iresnet import DEPTHS, INPUT_SIZE, IResNet, IResNetConfig
from fasgen.stages.lgsc.network import GeneratorConfig, SpoofCueGenerator
from fasgen.stages.network_folder import read_config_of
from fasgen.stages.stdn.discriminators import Discriminators
from fasgen.stages.stdn.generator import Generator
from fasgen.stages.stdn.generator import GeneratorConfig as TraceConfig
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder, StyleEncoderConfig
from fasgen.stages.synth.difffas.unet import UNet, UNetConfig
from fasgen.stages.weights import WEIGHTS

Origin = Literal["embedded", "paper"]


@dataclass(frozen=True)
class Figures:
    """One network.

    Attributes:
        name: what it is.
        origin: ``embedded`` for what comes with fasgen, ``paper`` for the size that its paper names.
        inputs: shapes of what one call takes, one sample.
        parameters: how many numbers are learned.
        gflops: 10^9 floating-point operations of a call, a multiplication and an addition counting as two.
    """

    name: str
    origin: Origin
    inputs: tuple[tuple[int, ...], ...]
    parameters: int
    gflops: float


@cache
def figures() -> tuple[Figures, ...]:
    """All networks; embedded ones that this installation lacks are left out."""
    return (*_identity(), *_generator(), *_difffas(), *_lgsc(), *_stdn())


def _measure(
    name: str, origin: Origin, build: Callable[[], nn.Module], inputs: tuple[tuple[int, ...], ...], call: Any
) -> Figures:
    with torch.device("meta"), torch.no_grad():
        network = build().eval()
        tensors = [torch.empty(shape) for shape in inputs]
        with FlopCounterMode(display=False) as counter:
            call(network, *tensors)
    count = sum(p.numel() for p in network.parameters())
    return Figures(name, origin, inputs, count, counter.get_total_flops() / 1e9)


def _plain(network: nn.Module, *inputs: Tensor) -> None:
    network(*inputs)


def _identity() -> Iterator[Figures]:
    image = ((1, 3, INPUT_SIZE, INPUT_SIZE),)
    folder = WEIGHTS / "identity"
    if folder.is_dir():
        shape = IResNetConfig.from_dict(read_config(folder))
        yield _measure("identity network", "embedded", lambda: IResNet(shape), image, _plain)
    yield _measure("identity network", "paper", lambda: IResNet(IResNetConfig(DEPTHS[18])), image, _plain)


def _generator() -> Iterator[Figures]:
    """Autoencoder and U-Net of the De-fake Face Generator; AG-FAS takes Stable Diffusion 1.5's at 224 px."""
    folder = WEIGHTS / "dfg"
    if folder.is_dir():
        vae, unet = read_config(folder / "vae"), read_config(folder / "unet")
        side = int(unet["sample_size"])
        pixels = 8 * side
        yield from _autoencoder("embedded", lambda: AUTOENCODERS[vae["_class_name"]].from_config(vae), pixels)
        yield _dfg("embedded", lambda: _from_config(unet), int(unet["in_channels"]), side, int(unet["cross_attention_dim"]))
    yield from _autoencoder("paper", _stable_diffusion_autoencoder, 224)
    yield _dfg("paper", lambda: build_unet(DFGTraining.model_validate({}), 4, 28), 4, 28, 768)


def _from_config(values: dict[str, Any]) -> nn.Module:
    from diffusers import UNet2DConditionModel

    network: nn.Module = UNet2DConditionModel.from_config(values)
    return network


def _stable_diffusion_autoencoder() -> nn.Module:
    from diffusers import AutoencoderKL

    blocks = 4
    network: nn.Module = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        layers_per_block=2,
        latent_channels=4,
    )
    return network


def _autoencoder(origin: Origin, build: Callable[[], nn.Module], pixels: int) -> Iterator[Figures]:
    def both(network: Any, x: Tensor) -> None:
        if isinstance(network, PatchAutoencoder):
            network.decode(network.encode(x))
        else:
            network.decode(network.encode(x).latent_dist.mode())

    yield _measure("autoencoder, both ways", origin, build, ((1, 3, pixels, pixels),), both)


def _dfg(origin: Origin, build: Callable[[], nn.Module], channels: int, side: int, width: int) -> Figures:
    def call(network: Any, z_t: Tensor, condition: Tensor) -> None:
        network(z_t, torch.zeros(1), encoder_hidden_states=condition, return_dict=False)

    return _measure("De-fake Face Generator, U-Net", origin, build, ((1, channels, side, side), (1, 49, width)), call)


def _difffas() -> Iterator[Figures]:
    folder = WEIGHTS / "difffas"
    if folder.is_dir():
        yield from _pair("embedded", *_shapes(folder))
    yield from _pair("paper", StyleEncoderConfig(tuple(f"style {i}" for i in range(17))), UNetConfig())


def _shapes(folder: Path) -> tuple[StyleEncoderConfig, UNetConfig]:
    return (
        read_config_of(folder / "style_encoder", StyleEncoder, StyleEncoderConfig),
        read_config_of(folder / "unet", UNet, UNetConfig),
    )


def _pair(origin: Origin, style: StyleEncoderConfig, unet: UNetConfig) -> Iterator[Figures]:
    image = (1, 3, unet.size, unet.size)
    yield _measure("DiffFAS, style encoder", origin, lambda: StyleEncoder(style), (image,), _plain)
    with torch.device("meta"):
        taps = StyleEncoder(style).eval().features(torch.empty(image))

    def call(network: Any, z_t: Tensor, live: Tensor, *features: Tensor) -> None:
        network(z_t, live, torch.zeros(1), features)

    inputs = (image, image, *(tuple(tap.shape) for tap in taps))
    yield _measure("DiffFAS, U-Net", origin, lambda: UNet(unet), inputs, call)


def _lgsc() -> Iterator[Figures]:
    """The paper cuts patches of 224 px; the embedded generator is for crops of 112 px."""
    folder = WEIGHTS / "lgsc"
    if folder.is_dir():
        yield _cue_generator("embedded", read_config_of(folder, SpoofCueGenerator, GeneratorConfig), 112)
    yield _cue_generator("paper", GeneratorConfig(), 224)


def _cue_generator(origin: Origin, shape: GeneratorConfig, side: int) -> Figures:
    return _measure("LGSC, spoof cue generator", origin, lambda: SpoofCueGenerator(shape), ((1, 3, side, side),), _plain)


def _stdn() -> Iterator[Figures]:
    folder = WEIGHTS / "stdn" / "generator"
    shapes: list[tuple[Origin, TraceConfig]] = [("paper", TraceConfig())]
    if folder.is_dir():
        shapes.insert(0, ("embedded", read_config_of(folder, Generator, TraceConfig)))
    for origin, shape in shapes:
        image = (1, 3, shape.size, shape.size)
        yield _measure("STDN+, generator", origin, partial(Generator, shape), (image,), _plain)

    def judge(network: Any, *images: Tensor) -> None:
        network(images)

    image = (1, 3, TraceConfig().size, TraceConfig().size)
    yield _measure("STDN+, four discriminators", "paper", lambda: Discriminators(TraceConfig().size), (image,) * 4, judge)
