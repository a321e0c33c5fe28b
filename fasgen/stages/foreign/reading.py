"""Arrays and pictures that were made elsewhere, from the bytes of their files."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
ARRAYS = frozenset({".npy"})


def read_array(data: bytes, suffix: str) -> NDArray[Any]:
    """H x W x C numbers, colours as RGB; of H x W numbers C is 1.

    Raises:
        ValueError: it is neither, in words.
    """
    if suffix.lower() in ARRAYS:
        try:
            array = np.load(io.BytesIO(data), allow_pickle=False)
        except Exception as error:  # NumPy reads a header as Python source and lets through whatever that raises
            raise ValueError(f"is no array of NumPy ({error})") from None
    else:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
        if array is None:
            raise ValueError("is no picture")
        if array.ndim == 3:
            array = array[:, :, :3][:, :, ::-1]
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise ValueError(f"is {array.dtype} {array.shape}, numbers H x W x C are needed")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("holds numbers that are not finite")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def fit(array: NDArray[Any], side: int, *, reconstruction: bool) -> None:
    """Check that an array is of crops of ``side`` px.

    Raises:
        ValueError: it is not, in words.
    """
    if array.shape[:2] != (side, side):
        raise ValueError(f"is {array.shape[1]} x {array.shape[0]} px, the crops are {side} x {side}")
    if reconstruction and (array.dtype != np.uint8 or array.shape[2] != 3):
        raise ValueError(f"is {array.dtype} of {array.shape[2]} channels, a reconstruction is a picture of 8 bits in RGB")
