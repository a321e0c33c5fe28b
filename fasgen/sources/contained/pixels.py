"""From an array, as archives of pictures hold it, to an RGB picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasgen.records import Reason
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError
from fasgen.sources.image import check_size
from fasgen.sources.levels import eight_bits

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB


_CHANNELS = 16
"""Most channels that a picture in an archive may have."""


def check_shape(shape: Sequence[int], limits: Limits) -> None:
    """Refuse an array by what an archive says of it, before it is unpacked: few bytes may stand for any number.

    Raises:
        SampleError: it has more numbers than the largest picture may have in all its channels, or is a picture that is too
            large or too small.
    """
    if math.prod(shape) > _CHANNELS * limits.max_pixels:
        told = " x ".join(map(str, shape))
        raise SampleError(Reason.TOO_LARGE, f"an array of {told}, more than max_pixels = {limits.max_pixels} has room for")
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) == 3:
        height, width = shape[1:] if shape[0] < shape[-1] else shape[:2]
        check_size(width, height, limits)


def to_rgb(array: NDArray[Any], bgr: bool, limits: Limits) -> RGB:
    """A picture from its first three channels.

    Args:
        array: H x W x C or C x H x W with C of at least 3, the smaller end being C; leading axes of length 1 are dropped.
            8 or 16 bits a level, or floats in [0, 1].
        bgr: whether the channels are blue, green, red.
        limits: what is too large or too small.

    Returns:
        H x W x 3 uint8.

    Raises:
        SampleError: another shape or type, or values that are no levels.
    """
    shape = array.shape
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 3:
        raise SampleError(Reason.NOT_MEDIA, f"an array of shape {shape} is no picture with colour")
    if array.shape[0] < array.shape[-1]:
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] < 3:
        raise SampleError(Reason.NOT_MEDIA, f"an array of shape {shape} has no three channels")
    check_size(array.shape[1], array.shape[0], limits)
    picture = _levels(array[..., :3], limits.bits)
    return np.require(picture[..., ::-1] if bgr else picture, requirements=["C", "W"])


def _levels(array: NDArray[Any], bits: int | None) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return eight_bits(array, bits)
    if array.dtype.kind == "f":
        low, high = float(array.min()), float(array.max())
        # A nan fails the comparison as well.
        if not (low >= -1e-3 and high <= 1.001):
            raise SampleError(Reason.CORRUPT, f"levels from {low:g} to {high:g}; floats in [0, 1] were expected")
        return np.asarray(np.rint(np.clip(array, 0, 1) * 255), np.uint8)
    raise SampleError(Reason.NOT_MEDIA, f"an array of {array.dtype} holds no levels")
