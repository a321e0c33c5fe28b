"""Training of the small autoencoder: absolute error on levels and on their differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fasgen.stages.defake.autoencoder import PatchAutoencoder
from fasgen.stages.defake.training_config import AutoencoderTraining
from fasgen.training.faces import Epochs, as_input, counted, list_faces, load_faces
from fasgen.training.learnt import learnt
from fasgen.training.residency import Bank, fits, sent
from fasgen.training.sheet import save_sheet

HELD_OUT = 256


def edges(x: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical differences of neighbouring pixels."""
    return x[..., :, 1:] - x[..., :, :-1], x[..., 1:, :] - x[..., :-1, :]


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio per image in dB, of images in [-1, 1] after clamping."""
    error = (x.clamp(-1, 1) - y.clamp(-1, 1)).square().flatten(1).mean(1)
    return 10 * torch.log10(4 / error)


class AutoencoderTask:
    """Reconstruction of live faces by a `PatchAutoencoder`.

    Args:
        config: settings.
        device: where batches go.
    """

    traced = True

    def __init__(self, config: AutoencoderTraining, device: torch.device) -> None:
        self.config, self.device = config, device
        rows = config.selector()
        train, held = list_faces(config.faces, rows)
        self.counted = counted(train, held) | rows.counted()
        self.seen = learnt("autoencoder", train, config, {})
        self.faces = load_faces(train, config.faces.size, config.out)
        stride = max(1, len(held) // HELD_OUT)
        self.held = load_faces(held[::stride][:HELD_OUT], config.faces.size)
        self.module: nn.Module = PatchAutoencoder(
            widths=config.widths, blocks=config.blocks, latent_channels=config.latent_channels
        )
        self.bank = Bank([self.faces], device, fits([self.faces], device))
        self.needs_host = not self.bank.resident
        self.epochs = Epochs(len(self.faces), config.batch, config.seed, config.faces.flip, self.bank.where)

    def batches(self, start: int, rank: int, world: int) -> Iterator[Tensor]:
        """(B, 3, H, W) in [-1, 1], half of them mirrored where that is set."""
        for step in count(start):
            index, flip = self.epochs.at(step, rank, world)
            x = as_input(self.bank.take(index), sent(flip, self.device))
            yield x.contiguous(memory_format=torch.channels_last)

    def loss(self, module: nn.Module, batch: Tensor, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Mean absolute error, plus weighted errors of differences and size of latents."""
        out, latents = module(batch, self.config.latent_noise)
        level = F.l1_loss(out, batch)
        edge = torch.stack([F.l1_loss(a, b) for a, b in zip(edges(out), edges(batch), strict=True)]).mean()
        size = latents.square().mean()
        total = level + self.config.edge_weight * edge + self.config.latent_weight * size
        return total, {"level": level, "edge": edge, "latent": size}

    def validate(self, module: nn.Module, folder: Path, step: int) -> Mapping[str, float]:
        """PSNR on held-out faces, and a sheet of input and reconstruction."""
        if not len(self.held):
            return {}
        x = as_input(self.held).to(self.device)
        y = torch.cat([module(part)[0] for part in torch.split(x, 32)])
        save_sheet(folder / f"{step:07d}.png", [x[::8], y[::8]])
        return {"psnr": float(psnr(x, y).mean())}

    def export(self, module: nn.Module, folder: Path) -> None:
        """Write the diffusers folder, with the latents' statistics over the training faces in its config."""
        chosen = self.faces[:: max(1, len(self.faces) // 2048)]
        with torch.no_grad():
            z = torch.cat([module.encode(as_input(part).to(self.device)).cpu() for part in torch.split(chosen, 64)])  # type: ignore[operator]
        mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
        module.register_to_config(latents_mean=mean.tolist(), latents_std=std.tolist())  # type: ignore[operator]
        module.save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]


def task(config: AutoencoderTraining, device: torch.device) -> AutoencoderTask:
    """The task of ``fasgen train autoencoder``."""
    return AutoencoderTask(config, device)
