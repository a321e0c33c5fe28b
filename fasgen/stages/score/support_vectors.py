"""The regression model that turns BRISQUE's statistics into a score: the one that fasgen carries, or LIBSVM's text files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from fasgen.errors import WeightsError
from fasgen.stages.score.config import CARRIED_FILE, MODEL_FILE, RANGE_FILE

_FEATURES = 36
_PARTS = ("vectors", "coefficients", "gamma", "rho", "low", "high")
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


def load(folder: Path) -> SupportVectors:
    """Read a model and its feature ranges.

    Args:
        folder: one of `brisque_folder`: it holds ``model.safetensors``, or ``allmodel`` and ``allrange`` as LIBSVM's
            ``svm-train`` and ``svm-scale`` write them.

    Raises:
        WeightsError: a file is missing or is not what it should be.
    """
    carried = folder / CARRIED_FILE
    if carried.is_file():
        vectors, coefficients, gamma, rho, low, high = _read_carried(carried)
    else:
        vectors, coefficients, gamma, rho = read_libsvm(folder / MODEL_FILE)
        low, high = _read_ranges(folder / RANGE_FILE)
    if vectors.shape != (len(coefficients), _FEATURES):
        raise WeightsError(f"{folder}: support vectors {vectors.shape}, ({len(coefficients)}, {_FEATURES}) expected")
    if low.shape != (_FEATURES,) or high.shape != (_FEATURES,) or not (high > low).all():
        raise WeightsError(
            f"{folder}: expected {_FEATURES} minima, each below its maximum, found {low.size} and {high.size} numbers"
        )
    digest = hashlib.sha256()
    for part in (vectors, coefficients, np.array([gamma, rho]), low, high):
        digest.update(np.ascontiguousarray(part, "<f8").tobytes())
    return SupportVectors(vectors, coefficients, gamma, rho, low, high, digest.hexdigest()[:16])


def _read_carried(
    path: Path,
) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float, NDArray[np.float64], NDArray[np.float64]]:
    try:
        parts = load_file(path)
        vectors, coefficients, gamma, rho, low, high = (parts[name] for name in _PARTS)
        return vectors, coefficients.reshape(-1), float(gamma), float(rho), low, high
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise WeightsError(f"{path}: not a BRISQUE model in safetensors ({error})") from error


def _text(path: Path) -> list[str]:
    try:
        return path.read_text("ascii").splitlines()
    except OSError as error:
        raise WeightsError(
            f"{path}: cannot be read ({error.strerror}); set score.brisque_model to a folder that has it"
        ) from error
    except UnicodeDecodeError as error:
        raise WeightsError(f"{path}: not a LIBSVM text file (byte {error.start} is not ASCII)") from error


def read_libsvm(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    """Vectors (S, 36), coefficients (S,), kernel width and offset of an epsilon-SVR in LIBSVM's text format.

    Raises:
        WeightsError: the file is missing, or holds another kind of model.
    """
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
