"""Training of the De-fake Face Generator: noise prediction on live faces under their own identity (AG-FAS III-B).

The U-Net alone is trained (with the learned projection, where there is one); autoencoder and identity network stay frozen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn import functional as F

from fasgen.errors import WeightsError
from fasgen.seeds import normal_noise, sample_seed
from fasgen.stages.defake.model import AUTOENCODERS, DFG, SCHEDULER, Latents, load_module, read_config
from fasgen.stages.defake.tokens import LearnedTokens, PaddedTokens, identity_tokens
from fasgen.stages.defake.training_config import DFGTraining
from fasgen.stages.denoising.grids import exact_grid
from fasgen.stages.denoising.schedule import noised, target
from fasgen.stages.identify.config import weights_path
from fasgen.stages.identify.load import load as load_identity
from fasgen.stages.weights import embedded
from fasgen.training.faces import as_input, epochs, list_faces, load_faces, wait_for_ranks
from fasgen.training.sheet import save_sheet

SHOWN = 32


class Batch(NamedTuple):
    """Latents z_0 (B, C, h, w), identity tokens (B, 49, 512), noise eps like z_0, and time steps (B,)."""

    z_0: Tensor
    tokens: Tensor
    eps: Tensor
    t: Tensor


class Denoiser(nn.Module):
    """What is trained: the U-Net and the tokens' projection."""

    def __init__(self, unet: Any, tokens: nn.Module) -> None:
        super().__init__()
        self.unet, self.tokens = unet, tokens

    def forward(self, z_t: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        return cast(Tensor, self.unet(z_t, t, encoder_hidden_states=self.tokens(tokens), return_dict=False)[0])


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
    """

    def __init__(self, config: DFGTraining, device: torch.device) -> None:
        self.config, self.device = config, device
        train, held = list_faces(config.faces)
        size = config.faces.size
        vae_folder = embedded("dfg") / "vae" if config.autoencoder == "embedded" else Path(config.autoencoder)
        kind = AUTOENCODERS.get(read_config(vae_folder).get("_class_name", ""))
        if kind is None:
            raise WeightsError(f"{vae_folder}: not one of {', '.join(AUTOENCODERS)}")
        self.latents = Latents(load_module(kind, vae_folder)).to(device)
        self.identity = load_identity(weights_path(config.identity), config.identity_depth).to(device)
        channels = int(self.latents.vae.config["latent_channels"])
        if config.init is not None:
            unet = load_module(UNet2DConditionModel, config.init).requires_grad_(True)
        else:
            unet = build_unet(config, channels, size // self.latents.factor)
        width = int(unet.config.cross_attention_dim)
        tokens: nn.Module = LearnedTokens(width=width) if config.projection == "learned" else PaddedTokens(width)
        self.module: nn.Module = Denoiser(unet, tokens)
        self.dfg = DFG(self.latents, unet, tokens, SCHEDULER | {"prediction_type": config.prediction})
        self.abar = self.dfg.abar.float().to(device)
        self.faces = load_faces(train, size, config.out)
        stride = max(1, len(held) // SHOWN)
        self.shown = load_faces(held[::stride][:SHOWN], size)
        self.cached = self._encode_all() if config.cache else None

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self.latents.encode(x).float(), identity_tokens(self.identity(x).map).float()

    def _encode_all(self) -> dict[str, Tensor]:
        """Latents (2, N, ...) and tokens (2, N, 49, 512) in half precision, of every face plain and mirrored.

        Kept in the run's folder under a digest of networks and faces. Each rank encodes its share; resumed runs encode nothing.
        """
        digest = hashlib.sha256(self.faces.numpy().data)
        for network in (self.latents, self.identity):
            for value in network.state_dict().values():
                digest.update(value.cpu().contiguous().numpy().data)
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        stem = self.config.out / f"encoded-{digest.hexdigest()[:16]}-{world}"
        path = stem.with_name(f"{stem.name}-{rank}.safetensors")
        if not path.exists():
            mine = self.faces[rank::world]
            path.parent.mkdir(parents=True, exist_ok=True)
            views = [self._encode_view(mine, mirrored) for mirrored in (False, True)]
            save_file({"latents": torch.stack([z for z, _ in views]), "tokens": torch.stack([c for _, c in views])}, path)
        wait_for_ranks()
        parts = [load_file(stem.with_name(f"{stem.name}-{r}.safetensors")) for r in range(world)]
        if world == 1:
            return dict(parts[0])
        out: dict[str, Tensor] = {}
        for name in ("latents", "tokens"):
            shape = parts[0][name].shape
            out[name] = torch.empty((2, len(self.faces), *shape[2:]), dtype=torch.float16)
            for r, part in enumerate(parts):
                out[name][:, r::world] = part[name]
        return out

    def _encode_view(self, faces: Tensor, mirrored: bool) -> tuple[Tensor, Tensor]:
        latents, tokens = [], []
        for part in torch.split(faces, 64):
            z, c = self._encode(as_input(part, torch.full((len(part),), mirrored)).to(self.device))
            latents.append(z.half().cpu())
            tokens.append(c.half().cpu())
        return torch.cat(latents), torch.cat(tokens)

    def batches(self, start: int, rank: int, world: int) -> Iterator[Batch]:
        """Batches whose mirroring, noise and time steps come from the step's own seed."""
        config = self.config
        for step, index in enumerate(epochs(len(self.faces), config.batch, config.seed, start, rank, world), start):
            coin = torch.Generator().manual_seed(config.seed * 1_000_003 + step * world + rank)
            flip = torch.rand(len(index), generator=coin) < (0.5 if config.faces.flip else 0.0)
            if self.cached is not None:
                view = flip.long()
                z_0, tokens = (self.cached[part][view, index].float().to(self.device) for part in ("latents", "tokens"))
            else:
                z_0, tokens = self._encode(as_input(self.faces[index], flip).to(self.device))
            eps = torch.randn(z_0.shape, generator=coin).to(self.device)
            # One draw a stratum: the batch covers all noise levels evenly, which takes variance out of the loss.
            share = (torch.randperm(len(index), generator=coin) + torch.rand(len(index), generator=coin)) / len(index)
            t = (share * config.t_max).long().clamp(max=config.t_max - 1).to(self.device)
            yield Batch(z_0.contiguous(memory_format=torch.channels_last), tokens, eps, t)

    def loss(self, module: nn.Module, batch: Batch, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Mean square error of the prediction, plain (AG-FAS) or weighted."""
        abar_t = self.abar[batch.t][:, None, None, None]
        z_t = noised(batch.z_0, batch.eps, abar_t)
        output = module(z_t, batch.t, batch.tokens)
        error = (
            F.mse_loss(output.float(), target(batch.z_0, batch.eps, abar_t, self.config.prediction), reduction="none")
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
        x = as_input(self.shown).to(self.device)
        z = self.latents.encode(x)
        seeds = [sample_seed(self.config.seed, "validate", str(i)) for i in range(len(x))]
        eps = torch.stack([torch.from_numpy(normal_noise(s, tuple(z.shape[1:]))) for s in seeds])
        points = exact_grid(min(800, self.config.t_max - 1), 20, train_steps=self.dfg.train_steps)
        y = self.dfg.reconstruct(x, self.identity(x).map, eps, points)
        save_sheet(folder / f"{step:07d}.png", [x, y])
        same = (self.identity(x).embedding * self.identity(y).embedding).sum(1)
        other = (self.identity(x).embedding * self.identity(y).embedding.roll(len(x) // 2, 0)).sum(1)
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
