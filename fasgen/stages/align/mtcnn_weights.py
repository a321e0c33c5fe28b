"""The weights that the ``mtcnn`` package carries, read without importing it (its import needs TensorFlow).

Each file is an LZ4 frame around a joblib pickle of a list of arrays. The pickle is read by an unpickler that can build
lists, plain values, NumPy dtypes and array headers, and nothing else.
"""

from __future__ import annotations

import io
import math
import pickle
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import lz4.frame
import numpy as np
from numpy.typing import NDArray

from fasgen.errors import WeightsError

NETWORKS = ("pnet", "rnet", "onet")


def weight_files() -> dict[str, Path]:
    """Paths of the three weight files, by network.

    Raises:
        WeightsError: the package is not installed, or carries no weights.
    """
    spec = find_spec("mtcnn")
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError("align.detector=mtcnn reads its weights from the package mtcnn, which is missing: pip install mtcnn")
    folder = Path(spec.submodule_search_locations[0]) / "assets" / "weights"
    files = {name: folder / f"{name}.lz4" for name in NETWORKS}
    for path in files.values():
        if not path.is_file():
            raise WeightsError(f"the installed package mtcnn has no {path.name}: install mtcnn 1.0.0")
    return files


class _Header:
    """Stands in for joblib's ``NumpyArrayWrapper``: the shape, order and dtype of the raw bytes that follow it."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype[Any]


class _ArrayClass:
    """Stands in for ``numpy.ndarray``, which the header only mentions."""


class _Reader(pickle._Unpickler):
    """Unpickles lists of float arrays in joblib's layout; every other global is refused."""

    # The pure-Python unpickler is the one whose BUILD step can be replaced, and array bytes follow right after it.
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._source = file

    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Header,
            ("numpy", "ndarray"): _ArrayClass,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in admitted:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return admitted[module, name]

    def build(self) -> None:
        """The BUILD step: finish the object, then, for a header, replace it by the array that follows."""
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)  # type: ignore[arg-type]
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        if isinstance(stack[-1], _Header):
            stack[-1] = self._array(stack[-1])

    dispatch[pickle.BUILD[0]] = build

    def _array(self, header: _Header) -> NDArray[np.float32]:
        dtype = header.dtype
        if dtype.kind != "f":
            raise pickle.UnpicklingError(f"it holds an array of {dtype}, floats were expected")
        padding = self._source.read(1)
        self._source.read(padding[0] if padding else 0)
        size = math.prod(header.shape) * dtype.itemsize
        raw = self._source.read(size)
        if len(raw) != size:
            raise pickle.UnpicklingError(f"it ends after {len(raw)} of {size} bytes of an array")
        order: Any = header.order
        return np.frombuffer(raw, dtype).reshape(header.shape, order=order).astype(np.float32)


def read_arrays(path: Path) -> list[NDArray[np.float32]]:
    """The arrays of one weight file, in its order.

    Raises:
        WeightsError: not an LZ4 frame around a list of float arrays.
    """
    try:
        arrays = _Reader(io.BytesIO(lz4.frame.decompress(path.read_bytes()))).load()
    except (
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        pickle.UnpicklingError,
    ) as error:
        raise WeightsError(f"{path} is not a weight file of the package mtcnn: {error}") from error
    if not isinstance(arrays, list) or not all(isinstance(array, np.ndarray) for array in arrays):
        raise WeightsError(f"{path} is not a weight file of the package mtcnn: a list of arrays was expected")
    return arrays
