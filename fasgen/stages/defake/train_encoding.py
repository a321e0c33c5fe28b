"""Faces as the U-Net's training needs them: latents and identity tokens, of one batch or of all faces once and for all."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch import distributed as dist

from fasgen.stages.defake.model import Latents
from fasgen.stages.defake.tokens import identity_tokens
from fasgen.training.faces import as_input, wait_for_ranks
from fasgen.training.layout import memory_format

AT_ONCE = 64
"""Faces that are encoded in one call where all are."""


class Encoder:
    """The frozen networks: autoencoder and identity.

    Args:
        latents: autoencoder.
        identity: gives an identity map as ``map``.
        device: where they compute.
    """

    def __init__(self, latents: Latents, identity: nn.Module, device: torch.device) -> None:
        self.device = device
        self.latents, self.identity = (
            network.to(device).to(memory_format=memory_format(network, device))  # type: ignore[call-overload]
            for network in (latents, identity)
        )

    @torch.no_grad()
    def __call__(self, levels: Tensor, mirrored: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, C, h, w) and tokens (B, 49, 512), float32, of faces (B, 3, S, S) uint8, mirrored where that is true."""
        x = as_input(levels, mirrored)
        return self.latents.encode(x).float(), identity_tokens(self.identity(x).map).float()

    def encode_all(self, faces: Tensor, folder: Path) -> tuple[Tensor, Tensor]:
        """Latents (2 N, C, h, w) and tokens (2 N, 49, 512) in half precision, on the host, of all faces plain, then mirrored.

        Kept in ``folder`` under a digest of networks and faces. Each rank encodes its share; resumed runs encode nothing.
        """
        digest = hashlib.sha256(faces.numpy().data)
        for network in (self.latents, self.identity):
            for value in network.state_dict().values():
                digest.update(value.cpu().contiguous().numpy().data)
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        stem = folder / f"encoded-{digest.hexdigest()[:16]}-{world}"
        path = stem.with_name(f"{stem.name}-{rank}.safetensors")
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            views = [self._view(faces[rank::world], mirrored) for mirrored in (False, True)]
            save_file({"latents": torch.stack([z for z, _ in views]), "tokens": torch.stack([c for _, c in views])}, path)
        wait_for_ranks()
        parts = [load_file(stem.with_name(f"{stem.name}-{r}.safetensors")) for r in range(world)]
        made = []
        for name in ("latents", "tokens"):
            whole = parts[0][name]
            if world > 1:
                whole = torch.empty((2, len(faces), *parts[0][name].shape[2:]), dtype=torch.float16)
                for r, part in enumerate(parts):
                    whole[:, r::world] = part[name]
            made.append(whole.flatten(0, 1))
        return made[0], made[1]

    def _view(self, faces: Tensor, mirrored: bool) -> tuple[Tensor, Tensor]:
        latents, tokens = [], []
        for part in torch.split(faces, AT_ONCE):
            z, c = self(part.to(self.device), torch.full((len(part),), mirrored, device=self.device))
            latents.append(z.half().cpu().contiguous())
            tokens.append(c.half().cpu().contiguous())
        return torch.cat(latents), torch.cat(tokens)
