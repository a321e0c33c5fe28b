"""From levels of 16 bits to 8, whatever part of the 16 a camera uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_USED = (8, 10, 12, 14, 16)
"""Bits that cameras and converters use of 16."""


def eight_bits(levels: NDArray[np.uint16], bits: int | None = None) -> NDArray[np.uint8]:
    """The upper 8 of the bits that are used.

    Args:
        levels: of any shape.
        bits: how many of the 16 are used, the lower ones; None: by the largest level, 8, 10, 12, 14 or 16, where pictures of 8
            bits that were widened (each level times 257) come back exactly.

    Returns:
        levels of the same shape; what lies above the white of ``bits`` is white.
    """
    if bits is None:
        upper = (levels >> 8).astype(np.uint8)
        if np.array_equal(upper, levels & 255):
            return upper
        white = int(levels.max(initial=0))
        bits = next(used for used in _USED if white < 1 << used)
    used: NDArray[np.uint8] = np.minimum(levels >> (bits - 8), 255).astype(np.uint8)
    return used


def wide_colours(data: bytes, image: Image.Image, upper: RGB, bits: int | None) -> RGB | None:
    """A picture of 16 bits a colour, of which Pillow keeps the upper 8 alone.

    Args:
        data: the file.
        image: the same, opened.
        upper: what Pillow makes of it, H x W x C of at least 3.
        bits: see `eight_bits`.

    Returns:
        H x W x 3 uint8; None where ``upper`` is right as it is.
    """
    # The upper 8 bits are empty above what 14 bits reach, or the picture uses more than that.
    if not _is_wide(data, image) or (bits in (None, 16) and upper[:, :, :3].max(initial=0) >= 1 << 6):
        return None
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[2] < 3:
        return None
    colours = stored[:, :, 2::-1]
    # Two decoders have to agree on what they have in common: size, order of colours, orientation.
    if not np.array_equal((colours >> 8).astype(np.uint8), upper[:, :, :3]):
        return None
    return np.ascontiguousarray(eight_bits(colours, bits))


def _is_wide(data: bytes, image: Image.Image) -> bool:
    if image.format == "PNG":
        return data[24] == 16
    if image.format == "TIFF":
        return 16 in tuple(getattr(image, "tag_v2", {}).get(258, ()))
    return False
