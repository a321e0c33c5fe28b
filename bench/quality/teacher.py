"""Embeddings by an independent network, which the generator never saw, from an ONNX file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import WeightsError

MEAN, SCALE = 127.0, 128.0
_BATCH = 32


class Teacher:
    """A face recogniser of 112 x 112 RGB crops, its levels scaled as ``(level - 127) / 128``.

    Args:
        path: ONNX file.
        node: name of the value in the graph that is the embedding; it need not be an output.
        threads: CPU threads.

    Raises:
        WeightsError: the file is missing or has no such value.
    """

    def __init__(self, path: Path, node: str, threads: int = 1) -> None:
        import onnx
        import onnxruntime

        if not path.is_file():
            raise WeightsError(f"--teacher: {path} is not a file; give an ONNX face recogniser, or leave it out")
        model = onnx.load(path)
        if node not in {name for item in model.graph.node for name in item.output}:
            raise WeightsError(f"--teacher: {path} computes no {node!r}; name its embedding with --teacher-node")
        del model.graph.output[:]
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(node))
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
        # Shapes noted for inner values still say one image.
        del model.graph.value_info[:]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def embeddings(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit embeddings (N, E) of crops (N, 112, 112, 3)."""
        parts = []
        for first in range(0, len(crops), _BATCH):
            x = (crops[first : first + _BATCH].transpose(0, 3, 1, 2).astype(np.float32) - MEAN) / SCALE
            raw = np.asarray(self._session.run(None, {self._input: x})[0], np.float32).reshape(len(x), -1)
            parts.append(raw / np.linalg.norm(raw, axis=1, keepdims=True))
        return np.concatenate(parts)
