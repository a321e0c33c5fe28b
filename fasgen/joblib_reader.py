"""Arrays and plain values out of a joblib file, which is a pickle, without running anything that the pickle asks for.

The unpickler here builds lists, mappings, texts, numbers, NumPy dtypes and arrays, and refuses every other name. Arrays are
not unpickled at all: joblib writes a header into the pickle and the raw bytes behind it.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, cast

import numpy as np
from numpy.typing import NDArray


class RefusedError(ValueError):
    """The stream asks for something that is not built, or is damaged."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """An array that was passed over: where its bytes lie.

    Attributes:
        shape: its shape.
        dtype: its type, of numbers only.
        offset: position of its first byte in the (decompressed) stream; C order.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


def read_joblib(stream: BinaryIO, skip: int | None = None) -> Any:
    """What a joblib file holds.

    Args:
        stream: its decompressed bytes, from the beginning; ``tell`` must count them.
        skip: arrays of at least so many axes become `Skipped`; None: all are read.

    Returns:
        nested lists, tuples, mappings, texts, numbers and arrays.

    Raises:
        RefusedError: it holds something else, or is cut.
    """
    try:
        return _Reader(stream, skip).load()
    except RefusedError:
        raise
    except (
        pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, TypeError, AttributeError, LookupError, MemoryError
    ) as error:  # fmt: skip
        raise RefusedError(str(error) or type(error).__name__) from error


class _Header:
    """Stands in for joblib's ``NumpyArrayWrapper``: shape, order and dtype of the raw bytes that follow it."""

    shape: tuple[int, ...]
    order: str
    dtype: np.dtype[Any]
    numpy_array_alignment_bytes: int | None = None


class _ArrayClass:
    """Stands in for ``numpy.ndarray``, which headers mention and arrays of objects are made of."""

    values: Any = None

    def __setstate__(self, state: Any) -> None:
        *_, shape, _dtype, _fortran, values = state
        if not isinstance(values, list) or len(values) != math.prod(shape):
            raise RefusedError("an array of objects whose values are no list")
        self.values = values


def _reconstruct(*_: object) -> _ArrayClass:
    """Stands in for NumPy's function of that name: an array of objects, still empty."""
    return _ArrayClass()


def _scalar(dtype: object, raw: object = b"") -> object:
    """Stands in for NumPy's ``scalar``: one number."""
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biufU" or not isinstance(raw, bytes):
        raise RefusedError(f"a scalar of {dtype}")
    return np.frombuffer(raw, dtype)[0].item()


_ADMITTED: dict[tuple[str, str], Any] = {
    ("joblib.numpy_pickle", "NumpyArrayWrapper"): _Header,
    ("numpy", "ndarray"): _ArrayClass,
    ("numpy", "dtype"): np.dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}


class _Reader(pickle._Unpickler):
    # The pure-Python unpickler is the one whose BUILD step can be replaced, and array bytes follow right after it.
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, source: BinaryIO, skip: int | None) -> None:
        super().__init__(source)
        self._source, self._skip = source, skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise RefusedError(f"it asks for {module}.{name}")
        return _ADMITTED[module, name]

    def build(self) -> None:
        """The BUILD step: finish the object, then replace a header by the array that follows."""
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)  # type: ignore[arg-type]
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        if isinstance(stack[-1], _Header):
            stack[-1] = self._array(stack[-1])
        elif isinstance(stack[-1], _ArrayClass):
            stack[-1] = stack[-1].values

    dispatch[pickle.BUILD[0]] = build

    def _array(self, header: _Header) -> NDArray[Any] | Skipped | Sequence[object]:
        dtype, shape = header.dtype, header.shape
        if not isinstance(dtype, np.dtype) or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise RefusedError("an array without a proper shape and type")
        if dtype.hasobject:
            return cast("Sequence[object]", _Reader(self._source, self._skip).load())
        if dtype.kind not in "biufSU":
            raise RefusedError(f"an array of {dtype}")
        if header.numpy_array_alignment_bytes is not None:
            padding = self._source.read(1)
            self._source.read(padding[0] if padding else 0)
        size = math.prod(shape) * dtype.itemsize
        if self._skip is not None and len(shape) >= self._skip and size and header.order == "C":
            offset = self._source.tell()
            # The last byte is read: whether the stream is that long shows only then.
            self._source.seek(offset + size - 1)
            if not self._source.read(1):
                raise RefusedError(f"it ends within the {size} bytes of an array")
            return Skipped(shape, dtype, offset)
        raw = self._source.read(size)
        if len(raw) != size:
            raise RefusedError(f"it ends after {len(raw)} of {size} bytes of an array")
        order: Any = header.order
        return np.frombuffer(raw, dtype).reshape(shape, order=order)
