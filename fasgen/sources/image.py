"""One still image from its bytes: upright RGB uint8, or the reason why not.

JPEG is decoded by libjpeg-turbo in strict mode (simplejpeg): bit-equal to Pillow and OpenCV on sound files, as fast as
OpenCV, silent, and the only one of the three that reports damage inside the compressed data, where the others return a
picture that ends in grey. All else goes through Pillow, whose own header parsing also gives size, orientation and profile.
"""

from __future__ import annotations

import io
import warnings
import zlib
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fasgen.records import Reason
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError, describe
from fasgen.sources.levels import eight_bits, wide_colours

if TYPE_CHECKING:
    from fasgen.stages.stage import RGB

# Limits.max_pixels, checked from the header, takes the place of Pillow's limit, which warns below and raises above it.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\..*")

_ORIENTATION = 0x0112
_END = b"\xff\xd9"
_PNG = b"\x89PNG\r\n\x1a\n"
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8", "JPEG"),
    (_PNG, "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"\0\0\0\x0cjP  ", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    *((b"P%d%c" % (number, space), "PPM") for number in range(1, 7) for space in b" \t\r\n"),
)


def sniff_image(head: bytes) -> str | None:
    """Format of an image by its first bytes, as Pillow names it; ``HEIF`` is recognised and not supported."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return (
            "AVIF"
            if brand in (b"avif", b"avis")
            else "HEIF"
            if brand in (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
            else None
        )
    for signature, name in _SIGNATURES:
        if head.startswith(signature) or (len(signature) > len(head) > 1 and signature.startswith(head)):
            return name
    return None


def decode_image(data: bytes, limits: Limits) -> RGB:
    """Decode the first picture of a file.

    Grey is repeated, of 16 bits the upper 8 that are used are kept (`fasgen.sources.levels`), CMYK goes through its
    ICC profile where it has a valid one, transparency is laid over ``limits.background``, EXIF orientation is applied.

    Args:
        data: the whole file.
        limits: what is too large or too small.

    Returns:
        H x W x 3, uint8, RGB, contiguous.

    Raises:
        SampleError: ``NOT_MEDIA``, ``TOO_LARGE``, ``TOO_SMALL``, ``CORRUPT`` or ``OUT_OF_MEMORY``.
    """
    kind = sniff_image(data[:32])
    if kind is None:
        raise SampleError(Reason.NOT_MEDIA, f"begins with {data[:8].hex(' ')}, which is no known image format")
    if kind == "HEIF":
        raise SampleError(Reason.NOT_MEDIA, "HEIF is not supported; convert the file to JPEG or PNG")
    try:
        return _decode(data, kind, limits)
    except SampleError:
        raise
    except MemoryError as error:
        raise SampleError(Reason.OUT_OF_MEMORY, f"not enough memory to decode this {kind}") from error
    # Decoders of damaged files raise anything: OSError, SyntaxError, struct.error, ValueError, IndexError, OverflowError...
    except Exception as error:
        raise SampleError(Reason.CORRUPT, f"{kind}: {describe(error)}") from error


def _decode(data: bytes, kind: str, limits: Limits) -> RGB:
    if kind == "JPEG":
        data = _ended(data)
    # What holds several JPEGs (MPO) is opened by Pillow as a JPEG, and has no format of its own to be opened by.
    with Image.open(io.BytesIO(data), formats=[kind]) as image:
        check_size(*image.size, limits)
        if kind == "JPEG":
            rgb = _jpeg(data, image, limits)
        else:
            if kind == "PNG":
                _check_png(data)
            image.load()
            rgb = _to_rgb(data, image, limits)
        return upright(rgb, _orientation(image))


def check_size(width: int, height: int, limits: Limits) -> None:
    """Refuse a picture by the size in its header.

    Raises:
        SampleError: ``TOO_LARGE`` or ``TOO_SMALL``.
    """
    if width * height > limits.max_pixels:
        raise SampleError(Reason.TOO_LARGE, f"{width} x {height} px, more than max_pixels = {limits.max_pixels}")
    if min(width, height) < limits.min_side:
        raise SampleError(Reason.TOO_SMALL, f"{width} x {height} px, shorter side below min_side = {limits.min_side}")


def upright(image: NDArray[np.uint8], orientation: int) -> RGB:
    """Undo an EXIF orientation (TIFF 6.0, tag 274).

    Args:
        image: H x W x 3 as stored.
        orientation: 1 to 8; anything else counts as 1.

    Returns:
        the picture as it is to be seen; W x H x 3 for 5 to 8. Contiguous and writable.
    """
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    # What shows Pillow's own memory cannot be written to, and torch complains of that on every terminal.
    return np.require(image, requirements=["C", "W"])


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
        return int(value) if isinstance(value, int | float) else 1
    # Garbage in EXIF says nothing about the pixels, which have been decoded in full.
    except Exception:
        return 1


def _jpeg(data: bytes, image: Image.Image, limits: Limits) -> RGB:
    colours = "CMYK" if image.mode == "CMYK" else "RGB"
    pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, colorspace=colours, fastdct=False, fastupsample=False, strict=True)
    if pixels.shape[:2] != (image.height, image.width):
        raise ValueError(f"headers disagree on the size: {image.width} x {image.height}, {pixels.shape[1]} x {pixels.shape[0]}")
    if colours == "CMYK" or (limits.profiles == "all" and image.info.get("icc_profile")):
        return _to_rgb(data, image, limits)
    return pixels


def _ended(data: bytes) -> bytes:
    """A JPEG with the mark of its end, which cameras that stream leave out.

    It is added where all colours lie in one sequential scan: of such a picture the decoder knows whether all of it was there.
    """
    if data.endswith(_END):
        return data
    at, colours = 2, 0
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        mark, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if mark == 0xFF:
            at += 1
            continue
        if mark in (0xC0, 0xC1):
            colours = data[at + 9] if at + 9 < len(data) else 0
        elif mark == 0xDA:
            whole = at + 4 < len(data) and 0 < colours == data[at + 4]
            missing = data.find(_END, at) < 0
            return data + (_END[1:] if data.endswith(b"\xff") else _END) if whole and missing else data
        at += 2 + length
    return data


def _to_rgb(data: bytes, image: Image.Image, limits: Limits) -> RGB:
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM", "JPEG2000")):
        return _repeat(eight_bits(np.clip(np.asarray(image), 0, 65_535).astype(np.uint16), limits.bits))
    if image.mode in ("I", "F"):
        raise SampleError(
            Reason.NOT_MEDIA, f"{image.format} of 32-bit numbers has no defined white; convert it to 8 or 16 bits"
        )
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"))
        wide = wide_colours(data, image, rgba, limits.bits)
        return _over(rgba if wide is None else np.dstack([wide, rgba[:, :, 3]]), limits.background)
    rgb = np.asarray(_profiled(image, limits) or image.convert("RGB"))
    wide = wide_colours(data, image, rgb, limits.bits)
    return rgb if wide is None else wide


def _repeat(grey: NDArray[np.uint8]) -> RGB:
    return np.repeat(grey[:, :, None], 3, axis=2)


def _over(rgba: NDArray[np.uint8], background: tuple[int, int, int]) -> RGB:
    rgb, alpha = rgba[:, :, :3], rgba[:, :, 3:].astype(np.uint32)
    if alpha.min() == 255:
        return rgb
    mixed = (rgb * alpha + np.array(background, dtype=np.uint32) * (255 - alpha) + 127) // 255
    return mixed.astype(np.uint8)


def _profiled(image: Image.Image, limits: Limits) -> Image.Image | None:
    """The picture converted to sRGB by its embedded profile, or None where none applies."""
    stored = image.info.get("icc_profile")
    if not stored or not (image.mode == "CMYK" or (limits.profiles == "all" and image.mode in ("RGB", "L"))):
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(stored))
        if "sRGB" in ImageCms.getProfileDescription(profile):
            return None
        return ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    # An unusable profile leaves the colours as those without one.
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _check_png(data: bytes) -> None:
    """Check every chunk's length and CRC and that the file is complete, which Pillow leaves undone."""
    at = len(_PNG)
    view = memoryview(data)
    while at + 12 <= len(data):
        length = int.from_bytes(view[at : at + 4], "big")
        name, end = bytes(view[at + 4 : at + 8]), at + 8 + length
        if end + 4 > len(data):
            break
        if zlib.crc32(view[at + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise SampleError(Reason.CORRUPT, f"PNG: checksum of chunk {name!r} at byte {at} is wrong")
        if name == b"IEND":
            return
        at = end + 4
    raise SampleError(Reason.CORRUPT, f"PNG: the file ends at byte {len(data)}, before its last chunk")
