"""The De-fake Face Generator (AG-FAS III-B): autoencoder, U-Net and condition tokens, loaded from the diffusers layout.

A folder holds ``unet/``, ``vae/``, ``scheduler/`` and, where the condition is not merely padded, ``projection/``. A Stable
Diffusion 1.x folder has the first three, so it loads as it is; AG-FAS's own U-Net is given beside it by ``unet``. Only
safetensors are read: a pickle could run code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.stages.defake.autoencoder import PatchAutoencoder
from fasgen.stages.defake.config import IDENTITY_DROP, identity_drop
from fasgen.stages.defake.tokens import LearnedTokens, PaddedTokens, identity_tokens, withheld
from fasgen.stages.denoising.grids import agfas_grid
from fasgen.stages.denoising.samplers import Sampler, advance, walk_table
from fasgen.stages.denoising.schedule import Prediction, abar_schedule, noised

AUTOENCODERS: dict[str, Any] = {
    "AutoencoderKL": AutoencoderKL,
    "AutoencoderTiny": AutoencoderTiny,
    "PatchAutoencoder": PatchAutoencoder,
}
"""Class names that a ``vae/config.json`` may carry."""

SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "set_alpha_to_one": True,
    "steps_offset": 1,
    "clip_sample": False,
}
"""Stable Diffusion 1.x's noise schedule, ending on clean latents."""


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a module's folder.

    Raises:
        WeightsError: if it is missing or no JSON object.
    """
    path = folder / ("scheduler_config.json" if folder.name == "scheduler" else "config.json")
    try:
        values = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: not readable as a module's configuration ({error}); a diffusers folder is expected"
        ) from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: holds {type(values).__name__}, not an object")
    return values


def load_module(kind: Any, folder: Path) -> Any:
    """One module of the diffusers layout, from safetensors alone.

    Raises:
        WeightsError: if there are none, or they do not fit the configuration.
    """
    read_config(folder)
    if not list(folder.glob("*.safetensors")):
        hint = "; it holds a pickle, which is never loaded: convert it to safetensors" if list(folder.glob("*.bin")) else ""
        raise WeightsError(f"{folder}: no *.safetensors file{hint}")
    # Public folders often hold half precision beside single, or alone.
    single = list(folder.glob("*_model.safetensors*")) + list(folder.glob("*_model-*.safetensors"))
    variant = None if single or not list(folder.glob("*.fp16*.safetensors")) else "fp16"
    try:
        module, info = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            low_cpu_mem_usage=False,
            variant=variant,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{folder}: does not load as {kind.__name__}: {str(error).splitlines()[0]}") from error
    if info["missing_keys"] or info.get("mismatched_keys"):
        first = [*info["missing_keys"], *info.get("mismatched_keys", ())][0]
        raise WeightsError(f"{folder}: weights do not fit {kind.__name__}, first at {first}")
    return module.eval().requires_grad_(False)


class Latents(nn.Module):
    """Images to normalised latents and back, whatever the autoencoder.

    The posterior mean is taken, never a sample of it, so that the cue is deterministic (AG-FAS's code samples).

    Args:
        vae: one of `AUTOENCODERS`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae
        config = vae.config
        channels = int(config["latent_channels"])
        mean, std = config.get("latents_mean"), config.get("latents_std")
        scale = float(config.get("scaling_factor") or 1.0)
        shift = float(config.get("shift_factor") or 0.0)
        self.register_buffer("mean", torch.tensor(mean or [shift] * channels)[None, :, None, None])
        self.register_buffer("std", torch.tensor(std or [1 / scale] * channels)[None, :, None, None])
        self.factor = 8 if isinstance(vae, PatchAutoencoder) else 2 ** (len(config["block_out_channels"]) - 1)

    def encode(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in [-1, 1] to latents z_0 of about unit variance."""
        out = self.vae.encode(x)
        if hasattr(out, "latent_dist"):
            out = out.latent_dist.mode()
        elif hasattr(out, "latents"):
            out = out.latents
        return cast(Tensor, (out - self.mean) / self.std)

    def decode(self, z: Tensor) -> Tensor:
        """Latents to images, clamped to [-1, 1]."""
        out = self.vae.decode(z * self.std + self.mean)
        return cast(Tensor, getattr(out, "sample", out)).clamp(-1, 1)


class DFG(nn.Module):
    """Face in, real version of the face out.

    Args:
        latents: autoencoder.
        unet: noise predictor with cross-attention.
        tokens: identity tokens to condition tokens.
        scheduler: noise schedule, as in ``scheduler_config.json``.
        drop: share of faces whose identity was withheld where the U-Net learnt; of 1 it is always.
    """

    def __init__(self, latents: Latents, unet: Any, tokens: nn.Module, scheduler: dict[str, Any], drop: float = 0.0) -> None:
        super().__init__()
        self.drop = drop
        self.latents, self.unet, self.tokens = latents, unet, tokens
        self.train_steps = int(scheduler["num_train_timesteps"])
        self.abar = abar_schedule(
            self.train_steps, float(scheduler["beta_start"]), float(scheduler["beta_end"]), str(scheduler["beta_schedule"])
        )
        self.prediction = cast(Prediction, scheduler.get("prediction_type", "epsilon"))
        self.offset = int(scheduler.get("steps_offset", 1))
        self.last = torch.ones((), dtype=torch.float64) if scheduler.get("set_alpha_to_one", True) else self.abar[0]
        self._encode: Callable[[Tensor], Tensor] = latents.encode
        self._decode: Callable[[Tensor], Tensor] = latents.decode
        self._step = self.step
        self._walks: dict[tuple[object, ...], list[tuple[Tensor, Tensor]]] = {}

    @classmethod
    def load(cls, folder: Path, unet: Path | None = None) -> DFG:
        """From the diffusers layout.

        Args:
            folder: holds ``vae/``, ``scheduler/`` and, unless given apart, ``unet/``.
            unet: another U-Net's folder, for example AG-FAS's ``unet_ema``.

        Raises:
            WeightsError: if a part is missing, unsafe, or does not fit another.
        """
        vae_config = read_config(folder / "vae")
        kind = AUTOENCODERS.get(vae_config.get("_class_name", ""))
        if kind is None:
            raise WeightsError(
                f"{folder / 'vae'}: autoencoder {vae_config.get('_class_name')!r} is not one of {', '.join(AUTOENCODERS)}"
            )
        latents = Latents(load_module(kind, folder / "vae"))
        network = load_module(UNet2DConditionModel, unet or folder / "unet")
        if network.config.in_channels != vae_config["latent_channels"]:
            raise WeightsError(
                f"{unet or folder / 'unet'}: takes {network.config.in_channels} channels, "
                f"but the autoencoder gives {vae_config['latent_channels']}; they are not of one model"
            )
        width = int(network.config.cross_attention_dim)
        learned = folder / "projection"
        tokens: nn.Module = load_module(LearnedTokens, learned) if learned.is_dir() else PaddedTokens(width)
        if width < 512 and isinstance(tokens, PaddedTokens):
            raise WeightsError(
                f"{folder}: cross-attention takes {width} channels, fewer than the identity map's 512, "
                f"and no projection/ is there"
            )
        scheduler = read_config(folder / "scheduler") if (folder / "scheduler").is_dir() else SCHEDULER
        return cls(latents, network, tokens, scheduler, identity_drop(unet or folder / "unet"))

    def paper_grid(self, t: int, steps: int) -> list[int]:
        """Time steps of AG-FAS's grid; see `fasgen.stages.denoising.grids.agfas_grid`."""
        return agfas_grid(t, steps, self.train_steps, self.offset)

    def compile(self, how: Callable[[Any], Any]) -> None:
        """Put ``how`` of encoding, decoding and the step of a walk in their places."""
        self._encode, self._decode, self._step = how(self.latents.encode), how(self.latents.decode), how(self.step)

    def predict(self, z_t: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        """One network call: (B, C, h, w), (B,) or scalar time, (B, 49, width) to (B, C, h, w)."""
        return cast(Tensor, self.unet(z_t, t, encoder_hidden_states=condition, return_dict=False)[0])

    def step(
        self,
        z_t: Tensor,
        before: Tensor,
        t: Tensor,
        condition: Tensor,
        weights: Tensor,
        nothing: Tensor | None = None,
        guidance: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """One step of a walk, the network's call and the move; see `fasgen.stages.denoising.samplers.advance`.

        With ``nothing``, the condition of no identity, both predictions are made, and the one without it is moved ``guidance``
        times as far as to the other (Ho and Salimans 2022, Eq. 6, w + 1). Velocity and clean latents are linear in the noise at
        a given z_t, so that it is the same whatever is predicted.
        """
        z = z_t.to(condition.dtype)
        output = self.predict(z, t, condition)
        if nothing is not None:
            without = self.predict(z, t, nothing).float()
            output = without + guidance * (output.float() - without)
        return advance(z_t, before, output, weights)

    def _walk(self, points: Sequence[int], sampler: Sampler, batch: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
        """Time (B,) and weights (5,) of every step, on the device."""
        key = (tuple(points), sampler, batch, device)
        if key not in self._walks:
            abar = torch.cat([self.abar[list(points)], self.last[None]])
            table = walk_table(abar, self.prediction, sampler).to(device)
            times = torch.tensor(points, device=device)[:, None].expand(-1, batch).contiguous()
            # Each row in memory of its own: compiled kernels copy inputs that do not lie on a boundary.
            self._walks[key] = [(t.clone(), weights.clone()) for t, weights in zip(times, table, strict=True)]
        return self._walks[key]

    def reconstruct(
        self,
        x: Tensor,
        identity_map: Tensor,
        eps: Tensor,
        points: Sequence[int],
        sampler: Sampler = "ddim",
        guidance: float = 1.0,
    ) -> Tensor:
        """AG-FAS's inference: encode, noise to the first grid point, walk back under the face's own identity, decode.

        Nothing in it waits for the device.

        Args:
            x: (B, 3, H, W) in [-1, 1]; H and W multiples of the autoencoder's factor.
            identity_map: (B, 512, 7, 7).
            eps: (B K, C, H / f, W / f) standard normal, the K draws of a face one after the other.
            points: descending time steps; none: the autoencoder alone.
            sampler: way of walking.
            guidance: weight of the identity; 1: its own prediction alone, 0: that without it.

        Returns:
            (B K, 3, H, W) in [-1, 1].
        """
        draws = len(eps) // len(x)
        tokens = identity_tokens(identity_map)
        if self.drop == 1 or guidance == 0:
            tokens = withheld(tokens)
        condition = self.tokens(tokens).repeat_interleave(draws, 0)
        nothing = self.tokens(withheld(tokens)).repeat_interleave(draws, 0) if guidance not in (0.0, 1.0) else None
        guided = () if nothing is None else (nothing, guidance)
        z = self._encode(x).repeat_interleave(draws, 0)
        dtype = z.dtype
        if points:
            abar = self.abar[points[0]].to(torch.float32)
            z = noised(z.float(), eps.to(z.device, torch.float32), abar).contiguous(memory_format=torch.channels_last)
            before = torch.zeros_like(z)
            for t, weights in self._walk(points, sampler, len(z), z.device):
                z, before = self._step(z, before, t, condition, weights, *guided)
        return self._decode(z.to(dtype))

    def save(self, folder: Path, scheduler: dict[str, Any] | None = None) -> None:
        """Write the diffusers layout."""
        self.unet.save_pretrained(folder / "unet", safe_serialization=True)
        self.latents.vae.save_pretrained(folder / "vae", safe_serialization=True)
        index: dict[str, Any] = {
            "_class_name": "DeFakeFaceGenerator",
            "unet": ["diffusers", "UNet2DConditionModel"],
            "vae": [type(self.latents.vae).__module__.split(".")[0], type(self.latents.vae).__name__],
            "scheduler": ["diffusers", "DDIMScheduler"],
        }
        if isinstance(self.tokens, LearnedTokens):
            self.tokens.save_pretrained(folder / "projection", safe_serialization=True)
            index["projection"] = ["fasgen", "LearnedTokens"]
        (folder / "scheduler").mkdir(parents=True, exist_ok=True)
        values = scheduler or SCHEDULER | {"prediction_type": self.prediction}
        (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(values, indent=2) + "\n")
        (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
        for path in folder.glob("*/config.json"):
            # Where a part came from is no part of what it is: digests must not depend on it, nor tell paths to others.
            kept = {
                key: value for key, value in json.loads(path.read_text()).items() if key not in ("_name_or_path", IDENTITY_DROP)
            }
            if self.drop and path.parent.name == "unet":
                kept[IDENTITY_DROP] = self.drop
            path.write_text(json.dumps(kept, indent=2) + "\n")
