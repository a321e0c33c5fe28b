"""Small random iResNets, and ONNX graphs of them as exporters write them, whole or with BatchNorms merged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from fasgen.stages.identify.iresnet import DEPTHS, IResNet, IResNetConfig

WIDTHS = (4, 6, 8, 10)


def random_network(depth: int = 18, head: str = "fc", seed: int = 0) -> IResNet:
    """An iResNet of few channels with every tensor drawn at random, running statistics included."""
    torch.manual_seed(seed)
    channels = 12 if head == "gdc" else WIDTHS[-1]
    network = IResNet(IResNetConfig(DEPTHS[depth], WIDTHS, channels, 16, head))
    for name, tensor in network.state_dict().items():
        if tensor.dtype.is_floating_point and "conv" not in name and "fc" not in name:
            tensor.uniform_(0.5, 1.5) if "var" in name or "weight" in name else tensor.normal_(0, 0.1)
    return network.eval().requires_grad_(False)


def faces(count: int = 2) -> Tensor:
    return torch.rand((count, 3, 112, 112), generator=torch.Generator().manual_seed(7)) * 2 - 1


class Export:
    """Writes a network as an ONNX graph with meaningless tensor names."""

    def __init__(self, network: IResNet, merged: bool) -> None:
        self.network, self.merged = network, merged
        self.nodes: list[Any] = []
        self.stored: list[Any] = []

    def save(self, path: Path, *, preprocess: bool = False, matmul: bool = False) -> None:
        net = self.network
        x = "input"
        if preprocess:
            x = self._node("Sub", x, self._store(torch.tensor(127.5)))
            x = self._node("Mul", x, self._store(torch.tensor(1 / 128)))
        x = self._slope(self._convolution(x, net.conv1, net.bn1), net.prelu)
        for stage in net.stages():
            for block in stage.children():
                x = self._block(x, block)
        x = self._node("Flatten", self._norm(x, net.bn2), axis=1)
        if matmul:
            x = self._node("MatMul", x, self._store(net.fc.weight.T))
            x = self._node("Add", x, self._store(net.fc.bias))
        else:
            x = self._node("Gemm", x, self._store(net.fc.weight), self._store(net.fc.bias), transB=1)
        x = self._norm(x, net.features)
        inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 112, 112])]
        outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["n", 16])]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, self.stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, str(path))

    def _block(self, x: str, block: Any) -> str:
        body = self._norm(x, block.bn1)
        body = self._slope(self._convolution(body, block.conv1, block.bn2), block.prelu)
        body = self._convolution(body, block.conv2, block.bn3)
        shortcut = x if block.downsample is None else self._convolution(x, *block.downsample)
        return self._node("Add", body, shortcut)

    def _convolution(self, x: str, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> str:
        tensors = merge(conv, norm) if self.merged else (conv.weight,)
        pads = [conv.padding[0]] * 4
        x = self._node("Conv", x, *map(self._store, tensors), pads=pads, strides=list(conv.stride))
        return x if self.merged else self._norm(x, norm)

    def _norm(self, x: str, norm: Any) -> str:
        tensors = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        return self._node("BatchNormalization", x, *map(self._store, tensors), epsilon=norm.eps)

    def _slope(self, x: str, prelu: nn.PReLU) -> str:
        return self._node("PRelu", x, self._store(prelu.weight.view(-1, 1, 1)))

    def _store(self, tensor: Tensor) -> str:
        name = f"t{len(self.stored)}"
        self.stored.append(numpy_helper.from_array(tensor.detach().contiguous().numpy(), name))
        return name

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"x{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def merge(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    return weight.detach(), bias.detach()
