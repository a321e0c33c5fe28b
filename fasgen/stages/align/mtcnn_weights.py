"""The weights that the ``mtcnn`` package carries, read without importing it (its import needs TensorFlow).

Each file is an LZ4 frame around a joblib pickle of a list of arrays.
"""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

import lz4.frame
import numpy as np
from numpy.typing import NDArray

from fasgen.errors import WeightsError
from fasgen.joblib_reader import RefusedError, read_joblib

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


def read_arrays(path: Path) -> list[NDArray[np.float32]]:
    """The arrays of one weight file, in its order.

    Raises:
        WeightsError: not an LZ4 frame around a list of float arrays.
    """
    try:
        arrays = read_joblib(io.BytesIO(lz4.frame.decompress(path.read_bytes())))
    except (RuntimeError, OSError, RefusedError) as error:
        raise WeightsError(f"{path} is not a weight file of the package mtcnn: {error}") from error
    if not isinstance(arrays, list) or not all(isinstance(array, np.ndarray) and array.dtype.kind == "f" for array in arrays):
        raise WeightsError(f"{path} is not a weight file of the package mtcnn: a list of arrays of floats was expected")
    return [array.astype(np.float32) for array in arrays]
