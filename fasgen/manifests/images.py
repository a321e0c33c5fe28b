"""Images to lossless PNG and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.marks import Term, mark

RGB = NDArray[np.uint8]
"""An image: H x W x 3, uint8, RGB, levels 0 to 255."""

_LEVEL = 1


def encode_png(image: RGB, where: str, term: Term | None = None) -> bytes:
    """PNG of compression level 1, which costs a fifth more bytes than level 6 and a quarter of its time.

    Args:
        image: H x W x 3 uint8 RGB.
        where: what it is, for the message.
        term: how it was generated, for the mark inside; ``None`` for a photograph.

    Raises:
        StoreError: if ``image`` is not H x W x 3 uint8.
    """
    import cv2

    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise StoreError(f"{where}: an image must be H x W x 3 uint8 RGB, this is {image.shape} {image.dtype}")
    done, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, _LEVEL])
    if not done:
        raise StoreError(f"{where}: could not be encoded as PNG")
    return mark(bytes(data), term) if term else bytes(data)


def decode_image(data: bytes, where: str) -> RGB:
    """Decode stored image bytes to RGB.

    Raises:
        StoreError: if they are not an image.
    """
    import cv2

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise StoreError(f"{where}: stored bytes are not an image: run `fasgen verify`")
    rgb: RGB = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb
