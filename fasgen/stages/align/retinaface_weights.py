"""Checkpoints of RetinaFace of the usual public layout.

Nothing is unpickled but plain tensors: checkpoints are safetensors or ``weights_only`` state dicts.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from fasgen.errors import WeightsError
from fasgen.stages.align.retinaface_networks import RetinaFaceNet


def load_checkpoint(network: RetinaFaceNet, path: Path) -> None:
    """Fill a network from a checkpoint of the usual public layout, batch normalisations folded.

    Keys may carry the prefix ``module.``; what the detector does not need (a classifier, counters) is ignored.

    Raises:
        WeightsError: the file cannot be read safely, or lacks a tensor, or one has another shape.
    """
    state = {key.removeprefix("module."): value for key, value in _read(path).items()}
    heads = {f"heads.{level}" for level in range(len(network.heads))}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d) and name not in heads:
            _put(layer, *_folded(state, *_public_names(name), path), f"{name} of {path}")
    for level, head in enumerate(network.heads):
        names = [f"{role}.{level}.conv1x1" for role, _ in network.HEADS]
        weight = torch.cat([_take(state, f"{name}.weight", path) for name in names])
        bias = torch.cat([_take(state, f"{name}.bias", path) for name in names])
        _put(head, weight, bias, f"heads of level {level} of {path}")


def _public_names(name: str) -> tuple[str, str]:
    """Names of a convolution and of its batch normalisation in the public layout, from the convolution's name here."""
    parts = name.split(".")
    if parts[0] == "body" and parts[1].startswith("stage"):
        # A block is one flat sequence there: convolution, normalisation, activation, and so on.
        block, place = ".".join(parts[:-1]), 3 * int(parts[-1])
        return f"{block}.{place}", f"{block}.{place + 1}"
    if parts[-1].startswith("conv"):
        return name, ".".join([*parts[:-1], parts[-1].replace("conv", "bn")])
    return name, ".".join([*parts[:-1], "1"])


def _folded(state: Mapping[str, torch.Tensor], conv: str, norm: str, path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution that does what convolution and batch normalisation (in inference) did."""
    weight = _take(state, f"{conv}.weight", path).double()
    gain, shift, mean, variance = (
        _take(state, f"{norm}.{part}", path).double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    factor = gain / torch.sqrt(variance + 1e-5)
    return (weight * factor[:, None, None, None]).float(), (shift - mean * factor).float()


def _take(state: Mapping[str, torch.Tensor], key: str, path: Path) -> torch.Tensor:
    if key not in state:
        raise WeightsError(
            f"{path} has no tensor {key}: a RetinaFace checkpoint of the usual layout was expected, of the network that"
            " align.retinaface.backbone names"
        )
    return state[key]


def _put(layer: nn.Module, weight: torch.Tensor, bias: torch.Tensor, where: str) -> None:
    parameters = dict(layer.named_parameters())
    if parameters["weight"].shape != weight.shape or parameters["bias"].shape != bias.shape:
        raise WeightsError(f"{where} has shape {tuple(weight.shape)}, which does not fit the network")
    parameters["weight"].data.copy_(weight)
    parameters["bias"].data.copy_(bias)


def _read(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file or a torch state dict (possibly under ``state_dict``)."""
    if not path.is_file():
        raise WeightsError(f"align.retinaface.weights: {path} is not a file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            tensors: dict[str, torch.Tensor] = load_file(path)
            return tensors
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, OSError, EOFError, LookupError) as error:
        raise WeightsError(f"{path} cannot be read as plain tensors (safetensors or a torch state dict): {error}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise WeightsError(f"{path} holds a {type(state).__name__}, a state dict was expected")
    return {str(key): value for key, value in state.items() if isinstance(value, torch.Tensor)}
