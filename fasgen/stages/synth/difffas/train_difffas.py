"""Training of DiffFAS's U-Net: rebuild the spoof of a person from noise, the person's live face and someone else's style.

Eqs. 6 and 7 of the paper. The style alone is dropped for the unconditional branch; the live face stays, as it does in sampling.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.errors import SourceError, WeightsError
from fasgen.seeds import normal_noise, sample_seed
from fasgen.stages.defake.train_dfg import truncated_weight
from fasgen.stages.denoising.schedule import noised, target
from fasgen.stages.gallery.train_gallery import counted
from fasgen.stages.identify.config import weights_path
from fasgen.stages.identify.load import load as load_identity
from fasgen.stages.synth.difffas.diffusion import Schedule, drop_style, variational_bound
from fasgen.stages.synth.difffas.model import DiffFAS, scale_of
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder
from fasgen.stages.synth.difffas.train_pairs import Pairs, load_pairs
from fasgen.stages.synth.difffas.train_transfer import SHIFT, Meetings, Strangers, draw_levels, transfer_loss
from fasgen.stages.synth.difffas.training_config import DiffFASTraining
from fasgen.stages.synth.difffas.unet import Prediction, UNet, UNetConfig
from fasgen.training.average import average
from fasgen.training.draws import chance, coins, strata
from fasgen.training.faces import Epochs, as_input
from fasgen.training.learnt import learnt
from fasgen.training.residency import sent
from fasgen.training.sheet import save_sheet

SHOWN = 24


class Batch(NamedTuple):
    """What one step learns from.

    Attributes:
        live: (B, 3, S, S) in [-1, 1].
        target: (B, 3, S, S) the same people, spoofed: z_0.
        guide: (B, 3, S, S) others in the same style.
        null: (B,) true where the style is dropped.
        eps: (B, 3, S, S) noise.
        t: (B,) levels, 1 to T.
        strangers: live faces and guides without a target, where some are wanted.
    """

    live: Tensor
    target: Tensor
    guide: Tensor
    null: Tensor
    eps: Tensor
    t: Tensor
    strangers: Strangers | None = None


def build_unet(config: DiffFASTraining, style_channels: Sequence[int]) -> UNet:
    """The configured U-Net for an encoder whose features have ``style_channels``.

    Raises:
        WeightsError: if they are not one a level of fusion.
    """
    try:
        shape = UNetConfig(
            size=config.faces.size,
            base=config.base,
            multipliers=config.multipliers,
            blocks=config.blocks,
            fusion=config.fusion,
            style_channels=tuple(style_channels),
            mean_patches=config.mean_patches,
            variance_patches=config.variance_patches,
            dropout=config.dropout,
            learned_variance=config.learned_variance,
            patch=config.patch,
            null=config.null,
            anchor=config.anchor,
            modulated=config.modulated,
        )
    except ValueError as error:
        raise WeightsError(f"the U-Net's settings do not fit each other or the style encoder: {error}") from error
    return UNet(shape)


class DiffFASTask:
    """Spoof reconstruction on pairs.

    Args:
        config: settings.
        device: where batches go.

    Raises:
        SourceError: if there is no pair.
        WeightsError: if the style encoder is missing or does not fit.
    """

    traced = True

    def __init__(self, config: DiffFASTraining, device: torch.device) -> None:
        self.config, self.device = config, device
        if config.style_encoder is None:
            raise WeightsError("style_encoder is not set; `fasgen train style` makes one: style_encoder=FOLDER")
        encoder = StyleEncoder.load(config.style_encoder).to(device)
        unet = UNet.load(config.init).requires_grad_(True) if config.init else build_unet(config, encoder.config.tap_channels)
        self.blend = None if config.blend is None else partner_of(unet, config.blend)
        schedule = Schedule(prediction_type=config.prediction)
        self.model = DiffFAS(unet, encoder, schedule)
        self.module: nn.Module = self.model.denoiser
        self.abar = schedule.abar().to(device)
        train, held = load_pairs(config)
        self.counted = counted(train, held)
        asked = None if config.identity == "none" or not config.transfer.share else weights_path(config.identity)
        parents = {"style encoder": config.style_encoder, "start": config.init, "blend": config.blend, "identity": asked}
        self.seen = learnt("difffas", train.faces, config, parents)
        self.pairs, self.held = Pairs(train), Pairs(held)
        if not len(self.pairs):
            raise SourceError(
                f"{config.out / 'pairs.json'}: no pair to learn from; simulate some (simulation.renders) or give a store with "
                f"live and spoof crops of the same subjects and devices (pairs.path)"
            )
        self.bank = train.bank(device)
        self.needs_host = not self.bank.resident
        self.meetings = Meetings(train, self.model.styles)
        self.epochs: dict[int, Epochs] = {}
        self.identity = None if config.identity == "none" else load_identity(weights_path(config.identity)).to(device)

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        """Batches whose guides, mirroring, noise, levels and dropped styles come from the step's own seed."""
        config = self.config
        strangers = round(config.batch * config.transfer.share) if self.meetings.some() else 0
        paired = max(config.batch - strangers, world)
        epochs = self.epochs.setdefault(paired, Epochs(len(self.pairs), paired, config.seed))
        flips = 0.5 if config.faces.flip else 0.0
        for step in count(start):
            pictures, noise = coins(config.seed, step, rank, self.device)
            numbers = self.pairs.draw(epochs.at(step, rank, world).items, pictures)
            # Live face and target are one person in one pose: they are mirrored together.
            size = len(numbers[0])
            flip = [chance(size, flips, noise) for _ in range(2)]
            live, spoof, guide = (self._input(self.bank.take(n), flip[k]) for n, k in zip(numbers, (0, 0, 1), strict=True))
            eps = torch.randn(spoof.shape, generator=noise, device=self.device)
            t = 1 + (strata(size, noise) * config.t_max).long().clamp(max=config.t_max - 1)
            null = drop_style(size, config.style_drop, noise)
            others = self._strangers(strangers // world, pictures, noise) if strangers >= world else None
            yield Batch(live, spoof, guide, null, eps, t, others)

    def _strangers(self, size: int, pictures: torch.Generator, noise: torch.Generator) -> Strangers:
        live_at, guide_at, label = self.meetings.draw(size, pictures)
        flips = 0.5 if self.config.faces.flip else 0.0
        live, guide = (self._input(self.bank.take(n), chance(size, flips, noise)) for n in (live_at, guide_at))
        first, t = draw_levels(size, self.config.t_max, noise)
        first_eps, eps = (torch.randn(live.shape, generator=noise, device=self.device) for _ in range(2))
        moves = torch.randint(-SHIFT, SHIFT + 1, (size, 2), generator=noise, device=self.device)
        low, high = self.config.transfer.gamma
        gamma = low + (high - low) * torch.rand(size, generator=noise, device=self.device)
        return Strangers(live, guide, sent(label, self.device), first, first_eps, t, eps, moves, gamma)

    def _input(self, levels: Tensor, flip: Tensor | None = None) -> Tensor:
        return as_input(levels, flip).contiguous(memory_format=torch.channels_last)

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Mean square error of the prediction (Eq. 7), plain or weighted; the variational term where variance is learned."""
        config = self.config
        abar_t = self.abar[batch.t].float()[:, None, None, None]
        z_t = noised(batch.target, batch.eps, abar_t)
        style, grey = self.model.encode_style(batch.guide), self.model.grey(batch.guide)
        said = cast(Prediction, module(z_t, batch.live, batch.t - 1, style, batch.null, grey))
        wanted = target(batch.target, batch.eps, abar_t, config.prediction)
        error = F.mse_loss(said.output.float(), wanted, reduction="none").flatten(1).mean(1)
        parts = {"plain": error.mean()}
        anchor = self.model.unet.config.anchor
        if anchor:
            error = error / scale_of(abar_t, anchor).flatten().square()
        elif config.min_snr:
            error = error * truncated_weight(abar_t.flatten(), config.min_snr, config.prediction)
        total = error.mean()
        if said.variance is not None:
            bound = variational_bound(
                batch.target, z_t, batch.t, said.output, said.variance, self.model.schedule, self.abar
            ).mean()
            parts["bound"] = bound
            total = total + bound
        if batch.strangers is not None:
            lacking, more = self._transfer(module, batch.strangers)
            parts |= more
            total = total + lacking
        return total, parts

    def _transfer(self, module: nn.Module, strangers: Strangers) -> tuple[Tensor, Mapping[str, Tensor]]:
        style, grey = self.model.encode_style(strangers.guide), self.model.grey(strangers.guide)

        def denoise(z_t: Tensor, t: Tensor, null: bool) -> Tensor:
            nothing = torch.ones(len(z_t), dtype=torch.bool, device=z_t.device) if null else None
            return cast(Prediction, module(z_t, strangers.live, t - 1, style, nothing, grey)).output

        identity = self.identity
        embed = None if identity is None else lambda x: cast(Tensor, identity(x).embedding)
        config = self.config
        return transfer_loss(
            denoise,
            self.model.style_encoder,
            embed,
            strangers,
            style,
            self.abar,
            config.prediction,
            config.transfer,
            config.t_max,
        )

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """Samples of people held out; a sheet of live face, guide, target and result.

        ``psnr`` compares result and target, ``psnr_live`` the live face and the target, which a network that does nothing
        reaches; ``style`` is the share of results in which the encoder sees the guide's style, ``style_target`` that of the
        targets; ``identity`` is the cosine of live face and result, ``identity_target`` that of live face and target.
        """
        if not len(self.held):
            return {}
        config = self.config
        index = list(range(0, len(self.held), max(1, len(self.held) // SHOWN)))[:SHOWN]
        drawn = self.held.draw(torch.tensor(index), torch.Generator().manual_seed(config.seed))
        live, spoof, guide = (self._input(self.held.gallery.take(numbers).to(self.device)) for numbers in drawn)
        seeds = [sample_seed(config.seed, "validate", str(i)) for i in index]
        noise = torch.stack([torch.from_numpy(normal_noise(s, tuple(live.shape[1:]))) for s in seeds])
        t = torch.full((len(index),), min(config.shown_t, config.t_max))
        gamma = torch.full((len(index),), config.shown_gamma)
        result = self.model.synthesise(live, guide, noise, t, gamma, config.shown_steps)
        save_sheet(folder / f"{step:07d}.png", [live, guide, spoof, result])
        figures = {"psnr": _psnr(result, spoof), "psnr_live": _psnr(live, spoof)}
        styles = self.model.styles
        truth = torch.tensor([styles.index(s) if s in styles else -1 for s in self._styles(index)], device=self.device)
        figures["style"] = self._agreement(result, truth)
        figures["style_target"] = self._agreement(spoof, truth)
        if self.identity is not None:
            e_live, e_result, e_spoof = (self.identity(x).embedding for x in (live, result, spoof))
            figures["identity"] = float((e_live * e_result).sum(1).mean())
            figures["identity_target"] = float((e_live * e_spoof).sum(1).mean())
        return figures

    def _styles(self, index: Sequence[int]) -> list[str]:
        return [self.held.gallery.styles[int(self.held.targets[i])] for i in index]

    def _agreement(self, x: Tensor, truth: Tensor) -> float:
        return float((self.model.classify(x).argmax(1) == truth).float().mean())

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the whole model in the diffusers layout; ``module`` is the model's own denoiser."""
        if self.blend is not None:
            average(self.model.unet, self.blend)
        self.model.save(folder)


def partner_of(unet: UNet, folder: Path) -> UNet:
    """The network of ``folder``, with which ``unet`` can be averaged.

    Raises:
        WeightsError: it has another shape.
    """
    other = UNet.load(folder)
    if other.config != unet.config:
        raise WeightsError(f"blend: {folder}: has another shape than the network that is trained; take the one of init")
    return other


def _psnr(a: Tensor, b: Tensor) -> float:
    error = (a - b).square().flatten(1).mean(1).clamp_min(1e-8)
    return float((10 * torch.log10(4 / error)).mean())


def task(config: DiffFASTraining, device: torch.device) -> DiffFASTask:
    """The task of ``fasgen train difffas``."""
    return DiffFASTask(config, device)
