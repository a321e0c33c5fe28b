"""Training of the De-fake Face Generator: noise prediction on live faces under their own identity (AG-FAS III-B).

The U-Net alone is trained (with the learned projection, where there is one); autoencoder and identity network stay frozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.errors import ConfigError
from fasgen.seeds import normal_noise, sample_seed
from fasgen.stages.defake.model import DFG, SCHEDULER
from fasgen.stages.defake.tokens import withheld
from fasgen.stages.defake.train_encoding import Encoder
from fasgen.stages.defake.train_start import autoencoder_folder
from fasgen.stages.defake.train_start import start as start_from
from fasgen.stages.defake.training_config import DFGTraining
from fasgen.stages.denoising.grids import exact_grid
from fasgen.stages.denoising.schedule import noised, target
from fasgen.stages.identify.config import weights_path
from fasgen.stages.identify.load import load as load_identity
from fasgen.training.draws import chance, coins, strata
from fasgen.training.faces import Epochs, as_input, counted, list_faces, load_faces
from fasgen.training.learnt import learnt
from fasgen.training.residency import Bank, fits, sent
from fasgen.training.sheet import save_sheet

SHOWN = 32


class Batch(NamedTuple):
    """What one step learns from.

    Attributes:
        seen: faces (B, 3, S, S) uint8; or their latents z_0 (B, C, h, w) in half precision, where all were encoded before.
        mirrored: (B,) which faces are; of those that are, latents and tokens are of the mirror image already.
        tokens: identity tokens (B, 49, 512) in half precision, with latents.
        eps: noise (B, C, h, w).
        t: time steps (B,).
        nameless: (B,) of which faces the identity is withheld; None where it never is.
    """

    seen: Tensor
    mirrored: Tensor
    tokens: Tensor | None
    eps: Tensor
    t: Tensor
    nameless: Tensor | None = None


class Denoiser(nn.Module):
    """What is trained: the U-Net and the tokens' projection."""

    def __init__(self, unet: Any, tokens: nn.Module) -> None:
        super().__init__()
        self.unet, self.tokens = unet, tokens

    def forward(self, z_t: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.unet(z_t, t, encoder_hidden_states=self.tokens(tokens), return_dict=False)[0])


def truncated_weight(abar_t: Tensor, gamma: float, prediction: str) -> Tensor:
    """Weight of the squared error of ``prediction`` that makes that of z_0 weigh ``min(SNR + 1, gamma)``.

    Plain v-prediction weighs z_0 by SNR + 1 (Salimans and Ho 2022); the cap keeps nearly clean levels, where nothing is left to
    learn, from taking the gradient (Hang et al. 2023).
    """
    snr = abar_t / (1 - abar_t)
    of_z_0 = (snr + 1).clamp(max=gamma)
    per_unit = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones_like(snr)}[prediction]
    return of_z_0 / per_unit


class DFGTask:
    """Noise prediction on latents of live faces.

    Args:
        config: settings.
        device: where batches go.

    Raises:
        WeightsError: what is started from is missing, unsafe or does not fit.
        ConfigError: settings do not fit what is started from.
    """

    traced = True

    def __init__(self, config: DFGTraining, device: torch.device) -> None:
        self.config, self.device = config, device
        rows = config.selector()
        train, held = list_faces(config.faces, rows)
        self.counted = counted(train, held) | rows.counted()
        parents = {"autoencoder": autoencoder_folder(config), "identity": weights_path(config.identity), "start": config.init}
        self.seen = learnt("dfg", train, config, parents)
        size = config.faces.size
        latents, unet, tokens = start_from(config)
        if config.checkpointing:
            unet.enable_gradient_checkpointing()
        self.encoder = Encoder(latents, load_identity(weights_path(config.identity), config.identity_depth), device)
        self.module: nn.Module = Denoiser(unet, tokens)
        self.dfg = DFG(latents, unet, tokens, SCHEDULER | {"prediction_type": config.prediction}, config.identity_drop)
        self.abar = self.dfg.abar.float().to(device)
        self.latent = (int(unet.config.in_channels), size // latents.factor, size // latents.factor)
        self.faces = load_faces(train, size, config.out)
        stride = max(1, len(held) // SHOWN)
        self.shown = load_faces(held[::stride][:SHOWN], size)
        seen = self.encoder.encode_all(self.faces, config.out) if config.cache else (self.faces,)
        resident = fits(seen, device)
        self.banks = [Bank([some], device, resident) for some in seen]
        self.needs_host = not resident
        self.epochs = Epochs(len(self.faces), config.batch, config.seed, config.faces.flip, self.banks[0].where)

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        """Batches whose noise and time steps come from the step's own seed.

        Raises:
            ConfigError: a rank's share of a batch does not divide into the parts that it is to be taken in.
        """
        config = self.config
        if config.batch // world % config.accumulate:
            raise ConfigError(
                f"accumulate={config.accumulate} does not divide the {config.batch // world} samples that a rank has of "
                f"batch={config.batch}; take a divisor"
            )
        for step in count(start):
            index, mirrored = self.epochs.at(step, rank, world)
            drawn = coins(config.seed, step, rank, self.device)[1]
            eps = torch.randn((len(index), *self.latent), generator=drawn, device=self.device)
            t = (strata(len(index), drawn) * config.t_max).long().clamp(max=config.t_max - 1)
            nameless = chance(len(index), config.identity_drop, drawn) if config.identity_drop else None
            seen = mirrored * len(self.faces) + index if config.cache else index
            rows = [bank.take(seen) for bank in self.banks]
            yield Batch(rows[0], sent(mirrored, self.device), rows[1] if config.cache else None, eps, t, nameless)

    def parts(self, batch: Batch) -> Sequence[Batch]:
        """The batch in as many equal parts as gradients are accumulated over; each sample's loss is its own."""
        parts = self.config.accumulate
        columns = [[None] * parts if column is None else column.chunk(parts) for column in batch]
        return [Batch(*row) for row in zip(*columns, strict=True)]

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Mean square error of the prediction, plain (AG-FAS) or weighted."""
        if batch.tokens is None:
            z_0, tokens = self.encoder(batch.seen, batch.mirrored)
        else:
            z_0, tokens = batch.seen.float(), batch.tokens.float()
        if batch.nameless is not None:
            tokens = withheld(tokens, batch.nameless)
        abar_t = self.abar[batch.t][:, None, None, None]
        z_t = noised(z_0, batch.eps, abar_t).contiguous(memory_format=torch.channels_last)
        output = module(z_t, batch.t, tokens)
        error = (
            F.mse_loss(output.float(), target(z_0, batch.eps, abar_t, self.config.prediction), reduction="none")
            .flatten(1)
            .mean(1)
        )
        high = batch.t >= self.config.t_max // 2
        # Of all samples where none is high. Masked, not chosen: a GPU would be waited for to know how many there are.
        of_high = torch.where(high, error, 0.0).sum() / high.sum().clamp(min=1)
        parts = {"plain": error.mean(), "high_noise": torch.where(high.any(), of_high, error.mean())}
        if self.config.min_snr:
            error = error * truncated_weight(abar_t.flatten(), self.config.min_snr, self.config.prediction)
        return error.mean(), parts

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """Identity cosine and PSNR of held-out faces and their reconstructions at t = 800 in 20 calls; a sheet of both."""
        if not len(self.shown):
            return {}
        x = as_input(self.shown.to(self.device))
        identity = self.encoder.identity
        z = self.dfg.latents.encode(x)
        seeds = [sample_seed(self.config.seed, "validate", str(i)) for i in range(len(x))]
        eps = torch.stack([torch.from_numpy(normal_noise(s, tuple(z.shape[1:]))) for s in seeds])
        points = exact_grid(min(800, self.config.t_max - 1), 20, train_steps=self.dfg.train_steps)
        y = self.dfg.reconstruct(x, identity(x).map, eps, points)
        save_sheet(folder / f"{step:07d}.png", [x, y])
        e_x, e_y = identity(x).embedding, identity(y).embedding
        same, other = (e_x * e_y).sum(1), (e_x * e_y.roll(len(x) // 2, 0)).sum(1)
        error = (x - y).square().flatten(1).mean(1)
        return {
            "identity": float(same.mean()),
            "random": float(other.mean()),
            "psnr": float((10 * torch.log10(4 / error)).mean()),
        }

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the whole generator in the diffusers layout."""
        self.dfg.save(folder)


def task(config: DFGTraining, device: torch.device) -> DFGTask:
    """The task of ``fasgen train dfg``."""
    return DFGTask(config, device)
