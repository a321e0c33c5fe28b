"""Files as they come off real disks: broken, mislabelled, odd, and good ones in odd clothes."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

RGB = NDArray[np.uint8]


def _encoded(image: RGB, kind: str) -> bytes:
    return bytes(cv2.imencode(kind, image[:, :, ::-1])[1])


def _pillow(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _header_of_a_giant() -> bytes:
    """A PNG that says it is 30,000 x 30,000 and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\x00" * 1000)) + chunk(b"IEND", b"")


def write_bad(folder: Path, face: RGB) -> dict[str, str]:
    """Files that must end as rows without a product; returns name to expected reason."""
    jpeg, png = _encoded(face, ".jpg"), _encoded(face, ".png")
    flipped = bytearray(png)
    flipped[len(png) // 2] ^= 0xFF
    landscape = np.tile(np.linspace(0, 255, 320, dtype=np.uint8)[None, :, None], (240, 1, 3))
    files = {
        "empty.jpg": (b"", "empty_file"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "corrupt"),
        "truncated.png": (png[: len(png) // 2], "corrupt"),
        "corrupt.png": (bytes(flipped), "corrupt"),
        "text.jpg": (b"this is a letter, not a photograph\n" * 20, "not_media"),
        "text.mp4": (b"this is a letter, not a film\n" * 20, "not_media"),
        "empty.mp4": (b"", "empty_file"),
        "dot.png": (_encoded(face[:1, :1], ".png"), "too_small"),
        "giant.png": (_header_of_a_giant(), "too_large"),
        "landscape.png": (_encoded(landscape, ".png"), "no_face"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    return {name: reason for name, (_, reason) in files.items()} | {"loop.jpg": "unreadable"}


def write_odd(folder: Path, face: RGB) -> list[str]:
    """Files that look odd and must all end as crops; returns their names as manifests write them."""
    picture = Image.fromarray(face)
    plain = _encoded(face, ".png")
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
    files: dict[str | bytes, bytes] = {
        "grey.jpg": _pillow(Image.fromarray(grey), "JPEG", quality=95),
        "sixteen.png": bytes(cv2.imencode(".png", face[:, :, ::-1].astype(np.uint16) * 257)[1]),
        "cmyk.jpg": _pillow(picture.convert("CMYK"), "JPEG", quality=95),
        "rgba.png": _pillow(Image.merge("RGBA", (*picture.split(), Image.new("L", picture.size, 255))), "PNG"),
        "palette.png": _pillow(picture.quantize(255), "PNG"),
        "animated.gif": _pillow(picture.quantize(255), "GIF", save_all=True, append_images=[picture.rotate(180).quantize(255)]),
        "two faces.png": _encoded(
            np.concatenate([face, cv2.resize(face, None, fx=0.5, fy=0.5).repeat(2, 0)[: len(face)]], 1), ".png"
        ),
        "spaces and 'quotes' \".png": plain,
        "new\nline.png": plain,
        b"not \xff utf8.png": plain,
    }
    for number in range(1, 9):
        stored = picture.transpose(_UNDO[number]) if number in _UNDO else picture
        exif = Image.Exif()
        exif[0x0112] = number
        files[f"turned{number}.jpg"] = _pillow(stored, "JPEG", quality=95, exif=exif)
    for name, data in files.items():
        path = os.fsencode(folder) + b"/" + os.fsencode(name)
        with open(path, "wb") as file:  # noqa: PTH123 - Path takes no bytes
            file.write(data)
    return [os.fsdecode(name) for name in files]


_UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera did to the upright picture so that a viewer who honours the orientation sees it upright again."""
