"""Identity networks from files: fasgen's folders, public ArcFace checkpoints, safetensors and ONNX initialisers.

Nothing is unpickled but tensors (``weights_only``), and nothing is fetched.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.stages.identify.config import need_onnx
from fasgen.stages.identify.iresnet import DEPTHS, IResNet, IResNetConfig

if TYPE_CHECKING:
    from fasgen.stages.identify.onnx_graph import Graph

_BLOCK = re.compile(r"layer([1-4])\.(\d+)\.conv1\.weight")
_WRAPPERS = ("state_dict", "state_dict_backbone", "model", "backbone")
_SHOWN = 6


def load(path: Path, depth: int | None = None) -> IResNet:
    """An identity network in evaluation mode, on the CPU, in float32.

    Args:
        path: a folder with ``config.json`` and ``model.safetensors``, or a file ending in ``.pth``, ``.pt``, ``.safetensors``
            or ``.onnx`` with an iResNet of ArcFace, as the public training code of insightface names and exports it.
        depth: 18, 34, 50 or 100 where the file must hold just that network.

    Raises:
        WeightsError: the file is missing, not safe to load, or not the network that is wanted.
    """
    if not path.exists():
        raise WeightsError(f"{path}: no such file or folder; set identify.weights to 'embedded' or to an existing path")
    need_onnx(path)
    try:
        network = _read(path)
    except WeightsError:
        raise
    except Exception as error:
        # A damaged file can make a graph or a shape say anything; what it breaks further down is no fault of the code there.
        raise WeightsError(f"{path}: damaged, or no iResNet of ArcFace ({type(error).__name__}: {error})") from error
    found = network.config.blocks
    if depth is not None and found != DEPTHS[depth]:
        known = [number for number, blocks in DEPTHS.items() if blocks == found]
        advice = f"set identify.depth={known[0]} or null" if known else "set identify.depth=null to take it all the same"
        raise WeightsError(f"{path}: blocks {_dashed(found)}, but an iResNet-{depth} has {_dashed(DEPTHS[depth])}; {advice}")
    return network.eval().requires_grad_(False)


def _read(path: Path) -> IResNet:
    if path.is_dir():
        return _from_folder(path)
    if path.suffix == ".onnx":
        from fasgen.stages.identify.onnx_graph import read_graph

        return _from_graph(read_graph(path), path)
    if path.suffix in (".pth", ".pt"):
        return _from_state(_checkpoint(path), path)
    if path.suffix == ".safetensors":
        return _from_state(_safetensors(path), path)
    raise WeightsError(
        f"{path}: unknown kind of weights {path.suffix!r}; known are a folder, .pth, .pt, .safetensors and .onnx"
    )


def _dashed(blocks: tuple[int, ...]) -> str:
    return "-".join(map(str, blocks))


def _from_folder(folder: Path) -> IResNet:
    try:
        values = json.loads((folder / "config.json").read_text("utf-8"))
        config = IResNetConfig.from_dict(values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{folder / 'config.json'}: not the configuration of an identity network ({error})") from error
    return _filled(IResNet(config), _safetensors(folder / "model.safetensors"), folder)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = load_file(path)
        return tensors
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: not readable as safetensors ({error})") from error


def _checkpoint(path: Path) -> dict[str, Tensor]:
    """A state dict, bare or under one of the usual keys, with or without ``module.`` of a parallel wrapper."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: holds more than tensors, which fasgen never unpickles; save the network's state_dict() alone"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{path}: not readable as a torch checkpoint ({error})") from error
    if isinstance(content, Mapping):
        content = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
    tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)} if isinstance(content, Mapping) else {}
    if not tensors:
        raise WeightsError(f"{path}: no state dict in it; save the network's state_dict()")
    return {key.removeprefix("module."): value for key, value in tensors.items()}


def _from_state(state: Mapping[str, Tensor], path: Path) -> IResNet:
    return _filled(IResNet(_shape(state, path)), state, path)


def _shape(state: Mapping[str, Tensor], path: Path) -> IResNetConfig:
    """The network's shape as its tensors tell it."""
    blocks = [0, 0, 0, 0]
    widths = [0, 0, 0, 0]
    for key, value in state.items():
        if match := _BLOCK.fullmatch(key):
            stage = int(match[1]) - 1
            blocks[stage] = max(blocks[stage], int(match[2]) + 1)
            widths[stage] = value.shape[0]
    absent = [key for key in ("conv1.weight", "bn2.weight", "fc.weight") if key not in state]
    if absent or 0 in blocks:
        raise WeightsError(
            f"{path}: not an iResNet of ArcFace: no {', '.join(absent) or 'layer1 to layer4'}; it has {_some(sorted(state))}"
        )
    head = "gdc" if "pool.weight" in state else "fc"
    return IResNetConfig(tuple(blocks), tuple(widths), state["bn2.weight"].shape[0], state["fc.weight"].shape[0], head)


def _from_graph(graph: Graph, path: Path) -> IResNet:
    """A graph whose exporter merged BatchNorms gets convolutions with bias in their place."""
    sizes = graph.state
    network = IResNet(
        IResNetConfig(graph.blocks, graph.widths, sizes["bn2.weight"].shape[0], sizes["fc.weight"].shape[0], "fc")
    )
    for convolution, norm in graph.merged:
        old = network.get_submodule(convolution)
        if isinstance(old, nn.Conv2d):
            old.bias = nn.Parameter(torch.zeros(old.out_channels))
        _replace(network, norm, nn.Identity())
    for name, epsilon in graph.epsilons.items():
        setattr(network.get_submodule(name), "eps", epsilon)  # noqa: B010  # the type of a submodule is not known
    return _filled(network, graph.state, path)


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(network.get_submodule(parent), child, module)


def _filled(network: IResNet, state: Mapping[str, Tensor], path: Path) -> IResNet:
    """Copy ``state`` into the network, every tensor of it and nothing else."""
    wanted = network.state_dict()
    counters = {key for key in wanted if key.endswith(".num_batches_tracked")}
    missing = sorted(wanted.keys() - state.keys() - counters)
    unexpected = sorted(key for key in state.keys() - wanted.keys() if not key.endswith(".num_batches_tracked"))
    shapes = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and key not in counters and state[key].shape != value.shape
    ]
    faults = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
    if any(faults.values()):
        listed = "; ".join(f"{len(keys)} {what}: {_some(keys)}" for what, keys in faults.items() if keys)
        raise WeightsError(f"{path}: does not fit an iResNet with blocks {_dashed(network.config.blocks)}: {listed}")
    network.load_state_dict({key: state[key] for key in wanted if key in state}, strict=False)
    return network


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")
