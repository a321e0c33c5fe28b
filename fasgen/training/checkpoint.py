"""Checkpoints: safetensors plus JSON, so that resuming opens no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fasgen.errors import WeightsError


class Checkpoint:
    """A training state on disk: raw and averaged weights, optimiser moments, and where it stood.

    Args:
        folder: the run's folder; the state lies in ``checkpoint/`` inside.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkpoint"

    def exists(self) -> bool:
        """True if there is a complete state to resume from."""
        return (self.folder / "state.json").is_file()

    def save(
        self, module: nn.Module, ema: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, state: dict[str, Any]
    ) -> None:
        """Write a complete new state beside the old one, then put it in its place."""
        new, old = self.folder.with_name("checkpoint.new"), self.folder.with_name("checkpoint.old")
        _remove(new)
        new.mkdir(parents=True)
        save_file({k: v.detach().contiguous().cpu() for k, v in module.state_dict().items()}, new / "weights.safetensors")
        save_file({k: v.contiguous().cpu() for k, v in ema.items()}, new / "ema.safetensors")
        moments = {
            f"{index}.{key}": value.detach().contiguous().cpu()
            for index, slots in optimiser.state_dict()["state"].items()
            for key, value in slots.items()
            if value is not None  # the momentum of an SGD without any
        }
        save_file(moments, new / "optimiser.safetensors")
        (new / "state.json").write_text(json.dumps(state))
        _remove(old)
        if self.folder.exists():
            self.folder.rename(old)
        new.rename(self.folder)
        _remove(old)

    def load(self, module: nn.Module, ema: Mapping[str, Tensor], optimiser: torch.optim.Optimizer) -> dict[str, Any]:
        """Restore everything in place and return the state.

        Raises:
            WeightsError: if the state was written by another architecture.
        """
        try:
            module.load_state_dict(load_file(self.folder / "weights.safetensors"))
        except RuntimeError as error:
            raise WeightsError(
                f"{self.folder}: is of another architecture; choose another out= or delete it "
                f"({str(error).splitlines()[-1].strip()})"
            ) from error
        saved = load_file(self.folder / "ema.safetensors")
        for key, value in ema.items():
            value.copy_(saved[key].to(value))
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(self.folder / "optimiser.safetensors").items():
            index, _, name = key.partition(".")
            slots.setdefault(int(index), {})[name] = value if name == "step" else _laid_out(value, parameters[int(index)])
        optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
        state: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return state


def _laid_out(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """A moment in the memory layout of its parameter: fused optimisers go through both side by side, as they lie."""
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value) if value.shape == parameter.shape else value


def _remove(folder: Path) -> None:
    if folder.exists():
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
