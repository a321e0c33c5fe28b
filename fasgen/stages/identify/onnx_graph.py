"""ArcFace iResNets exported to ONNX: tensors are named by their place in the graph, since exporters lose their names.

Exporters merge the BatchNorms that follow a convolution into it, or leave them; both are understood. The BatchNorm that opens
a block always stays, since its convolution pads with zeros after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.errors import WeightsError

_SILENT = frozenset({"Identity", "Dropout", "Flatten", "Reshape", "Cast", "Unsqueeze", "Squeeze"})
_SCALING = frozenset({"Sub", "Mul", "Div"})
_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(slots=True)
class Graph:
    """What a graph says of an iResNet.

    Attributes:
        state: tensors under the names that the network's modules have.
        merged: pairs of convolution (or ``fc``) and the BatchNorm that was merged into it.
        epsilons: of each BatchNorm that is left.
        blocks: blocks of each stage.
        widths: channels of each stage.
    """

    state: dict[str, Tensor] = field(default_factory=dict)
    merged: list[tuple[str, str]] = field(default_factory=list)
    epsilons: dict[str, float] = field(default_factory=dict)
    blocks: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()


def read_graph(path: Path) -> Graph:
    """Read the initialisers of an ONNX file and name them.

    Raises:
        WeightsError: not an ONNX file, or its graph is not an iResNet's.
    """
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's errors have no common public base
        raise WeightsError(f"{path}: not readable as ONNX ({error})") from error
    outside = [tensor.name for tensor in model.graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise WeightsError(f"{path}: tensor {outside[0]} lies in another file; save the model as one file")
    return _Walk(model.graph, path).iresnet()


class _Walk:
    """One pass along a graph from its input to the embedding."""

    def __init__(self, graph: Any, path: Path) -> None:
        self.path = path
        self.out = Graph()
        self.tensors: dict[str, NDArray[Any]] = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
        self.readers: dict[str, list[Any]] = {}
        for node in graph.node:
            if node.op_type == "Constant":
                value = next((a.t for a in node.attribute if a.name == "value"), None)
                if value is not None:
                    self.tensors[node.output[0]] = onnx.numpy_helper.to_array(value)
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        inputs = [value.name for value in graph.input if value.name not in self.tensors]
        if len(inputs) != 1:
            raise self._fault(f"{len(inputs)} inputs instead of one image")
        self.at: str = inputs[0]

    def iresnet(self) -> Graph:
        """Walk stem, blocks and head."""
        while self._next().op_type in _SCALING:  # crops come in [-1, 1] already
            self.at = self._next().output[0]
        self._convolution("conv1", "bn1")
        self._slopes("prelu")
        blocks: list[int] = []
        widths: list[int] = []
        while len(self._following()) > 1:
            strided = self._is_strided()
            if strided or not blocks:
                blocks.append(0)
                widths.append(0)
            widths[-1] = self._block(f"layer{len(blocks)}.{blocks[-1]}")
            blocks[-1] += 1
        if len(blocks) != 4:
            raise self._fault(f"{len(blocks)} stages of residual blocks instead of 4")
        self.out.blocks, self.out.widths = tuple(blocks), tuple(widths)
        self._norm("bn2")
        self._linear()
        if any(node.op_type == "BatchNormalization" for node in self._following()):
            self._norm("features")
        else:
            self.out.merged.append(("fc", "features"))
        return self.out

    def _block(self, name: str) -> int:
        entry = self.at
        self._norm(f"{name}.bn1")
        self._convolution(f"{name}.conv1", f"{name}.bn2")
        self._slopes(f"{name}.prelu")
        width = self._convolution(f"{name}.conv2", f"{name}.bn3")
        body = self._take("Add", f"the sum of {name}")
        if entry not in body.input:
            self.at = entry
            self._convolution(f"{name}.downsample.0", f"{name}.downsample.1")
            if self.at not in body.input:
                raise self._fault(f"the shortcut of {name} does not lead to its sum")
        self.at = body.output[0]
        return width

    def _is_strided(self) -> bool:
        """A stage begins where the body halves the map."""
        node = self._find("BatchNormalization")
        seen = 0
        while node is not None and node.op_type != "Add":
            if node.op_type == "Conv":
                seen += 1
                if seen == 2:
                    return bool(max(_attribute(node, "strides", [1, 1])) > 1)
            after = self.readers.get(node.output[0], [])
            node = after[0] if after else None
        raise self._fault("a residual block without two convolutions")

    def _following(self) -> list[Any]:
        """Readers of the current tensor, silent operators passed over."""
        nodes = self.readers.get(self.at, [])
        while len(nodes) == 1 and nodes[0].op_type in _SILENT:
            self.at = nodes[0].output[0]
            nodes = self.readers.get(self.at, [])
        return nodes

    def _next(self) -> Any:
        nodes = self._following()
        if not nodes:
            raise self._fault("it ends too early")
        return nodes[0]

    def _find(self, kind: str) -> Any:
        return next((node for node in self._following() if node.op_type == kind), None)

    def _take(self, kind: str, what: str) -> Any:
        node = self._find(kind)
        if node is None:
            found = ", ".join(node.op_type for node in self._following()) or "nothing"
            raise self._fault(f"{what} should be {kind}, found {found}")
        self.at = node.output[0]
        return node

    def _convolution(self, name: str, norm: str) -> int:
        node = self._take("Conv", name)
        weight = self._tensor(node, 1)
        self.out.state[f"{name}.weight"] = weight
        nodes = self._following()
        if len(nodes) == 1 and nodes[0].op_type == "BatchNormalization" and len(node.input) == 2:
            self._norm(norm)
        else:
            bias = self._tensor(node, 2) if len(node.input) > 2 else torch.zeros(len(weight))
            self.out.state[f"{name}.bias"] = bias
            self.out.merged.append((name, norm))
        return len(weight)

    def _norm(self, name: str) -> None:
        node = self._take("BatchNormalization", name)
        for index, part in enumerate(_NORM, start=1):
            self.out.state[f"{name}.{part}"] = self._tensor(node, index)
        self.out.epsilons[name] = float(_attribute(node, "epsilon", 1e-5))

    def _slopes(self, name: str) -> None:
        self.out.state[f"{name}.weight"] = self._tensor(self._take("PRelu", name), 1).flatten()

    def _linear(self) -> None:
        node = self._next()
        if node.op_type == "Gemm":
            weight = self._tensor(node, 1)
            self.out.state["fc.weight"] = weight if _attribute(node, "transB", 0) else weight.T.contiguous()
            self.out.state["fc.bias"] = self._tensor(node, 2) if len(node.input) > 2 else torch.zeros(self._outputs())
            self.at = node.output[0]
            return
        self.out.state["fc.weight"] = self._tensor(self._take("MatMul", "fc"), 1).T.contiguous()
        if self._find("Add") is not None:
            sum_ = self._take("Add", "the bias of fc")
            self.out.state["fc.bias"] = self._tensor(sum_, next(i for i, name in enumerate(sum_.input) if name in self.tensors))
        else:
            self.out.state["fc.bias"] = torch.zeros(self._outputs())

    def _outputs(self) -> int:
        return len(self.out.state["fc.weight"])

    def _tensor(self, node: Any, index: int) -> Tensor:
        name = node.input[index] if index < len(node.input) else "(none)"
        if name not in self.tensors:
            raise self._fault(f"input {index} of {node.op_type} {node.name or node.output[0]} is not a stored tensor")
        return torch.from_numpy(np.array(self.tensors[name], np.float32))

    def _fault(self, what: str) -> WeightsError:
        return WeightsError(f"{self.path}: this graph is not an iResNet of ArcFace: {what}")


def _attribute(node: Any, name: str, default: Any) -> Any:
    return next((onnx.helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
