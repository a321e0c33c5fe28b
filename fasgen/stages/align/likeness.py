"""What a crop looks like in one number: how sharp it is, and a hash that near-duplicates share."""

from __future__ import annotations

import cv2
import numpy as np

from fasgen.stages.stage import RGB

_SIDE, _BITS = 32, 8


def sharpness(image: RGB) -> float:
    """Variance of the Laplacian of the luma (Pech-Pacheco et al., *Diatom autofocusing in brightfield microscopy*, 2000).

    Args:
        image: H x W x 3 uint8 RGB.

    Returns:
        squared levels, at least 0; low where the image is blurred or flat. It grows as an image is made smaller.
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(luma, cv2.CV_64F).var())


def perceptual_hash(image: RGB) -> int:
    """64 bits of the luma's lowest frequencies (Zauner, *Implementation and benchmarking of perceptual image hash functions*,
    2010, section 3.2.1).

    The 8 x 8 coefficients behind the first row and column of the discrete cosine transform of the 32 x 32 image, each
    compared with their median, row by row, the first the highest bit. Brightness, contrast, size and JPEG's losses change few
    bits. Half of the bits are 1, so two hashes differ in an even number of them.

    Args:
        image: H x W x 3 uint8 RGB.
    """
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(luma, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    low = cv2.dct(small)[1 : 1 + _BITS, 1 : 1 + _BITS].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")
