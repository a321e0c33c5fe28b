"""A network as a folder: ``config.json`` says its shape, ``model.safetensors`` holds its tensors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar, cast

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fasgen.errors import WeightsError

WEIGHTS = "model.safetensors"
_SHOWN = 4

Network = TypeVar("Network", bound=nn.Module)
Config = TypeVar("Config")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``.

    Raises:
        WeightsError: if it is missing or no object.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: not readable ({error}); a folder written by `fasgen train` is expected") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{path}: holds {type(values).__name__}, not an object")
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write ``values``, and the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")


def save_network(network: nn.Module, config: Any, folder: Path) -> None:
    """Write a network and the dataclass that says its shape."""
    write_json(folder / "config.json", {"_class_name": type(network).__name__, **asdict(config)})
    tensors = {key: value.detach().contiguous().cpu() for key, value in network.state_dict().items()}
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})


def read_config_of(folder: Path, kind: type[nn.Module], config: type[Config]) -> Config:
    """The shape of the network in ``folder``.

    Raises:
        WeightsError: if ``config.json`` is missing, or is not the configuration of a ``kind``.
    """
    values = read_json(folder / "config.json")
    name = values.pop("_class_name", kind.__name__)
    if name != kind.__name__:
        raise WeightsError(f"{folder}: holds a {name}, not a {kind.__name__}")
    try:
        return config(**{key: _tuples(value) for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise WeightsError(f"{folder / 'config.json'}: not the configuration of a {kind.__name__} ({error})") from error


def load_network(folder: Path, kind: Callable[[Config], Network], config: type[Config]) -> Network:
    """A network from its folder, on the CPU, in float32, for inference.

    Args:
        folder: holds ``config.json`` and ``model.safetensors``.
        kind: class of the network, ``kind(config)``.
        config: dataclass that says its shape; lists become tuples.

    Raises:
        WeightsError: if a file is missing or unsafe, or the tensors are not those of the configuration.
    """
    network = kind(read_config_of(folder, cast(type[nn.Module], kind), config))
    fill_network(network, folder)
    return network.eval().requires_grad_(False)


def fill_network(network: nn.Module, folder: Path) -> None:
    """Copy the tensors of ``folder / "model.safetensors"`` into a network, which must have just these.

    Raises:
        WeightsError: if the file is missing or unsafe, or the tensors are not those of the network.
    """
    tensors, wanted = _tensors(folder), network.state_dict()
    faults = {
        "missing": sorted(wanted.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - wanted.keys()),
        "of another shape": sorted(k for k, v in wanted.items() if k in tensors and tensors[k].shape != v.shape),
    }
    found = [f"{len(keys)} tensors {what} ({', '.join(keys[:_SHOWN])})" for what, keys in faults.items() if keys]
    if found:
        raise WeightsError(f"{folder}: {WEIGHTS} does not fit its network: {'; '.join(found)}")
    network.load_state_dict(tensors)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        pickles = [p.name for suffix in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in folder.glob(suffix)]
        hint = f"; {pickles[0]} is a pickle, which is never loaded: convert it to safetensors" if pickles else ""
        raise WeightsError(f"{path}: no such file{hint}")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not readable as safetensors ({error})") from error
    return tensors
