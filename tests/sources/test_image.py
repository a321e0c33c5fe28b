from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from fasgen.records import Reason
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError
from fasgen.sources.image import decode_image, sniff_image, upright

Encode = Callable[..., bytes]
LIMITS = Limits()


def refused(data: bytes, limits: Limits = LIMITS) -> tuple[Reason, str]:
    with pytest.raises(SampleError) as caught:
        decode_image(data, limits)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize("options", [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"progressive": True}])
def test_jpeg_is_equal_to_pillow_and_opencv(picture: Any, encode: Encode, options: dict[str, Any]) -> None:
    data = encode(picture, "JPEG", quality=90, **options)
    decoded = decode_image(data, LIMITS)
    assert np.array_equal(decoded, np.asarray(Image.open(io.BytesIO(data))))
    assert np.array_equal(decoded, cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_come_back_exactly(picture: Any, encode: Encode, kind: str) -> None:
    decoded = decode_image(encode(picture, kind), LIMITS)
    assert np.array_equal(decoded, picture)
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous


@pytest.mark.parametrize("kind", ["WEBP", "AVIF", "JPEG2000"])
def test_other_formats_are_read(picture: Any, encode: Encode, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "AVIF" else {}
    assert np.abs(decode_image(encode(picture, kind, **options), LIMITS).astype(int) - picture).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_gives_the_same_upright_picture(picture: Any, encode: Encode, kind: str, orientation: int) -> None:
    # How a camera stores a scene so that this orientation makes it upright again: the inverse transposition.
    stored = {
        1: picture,
        2: picture[:, ::-1],
        3: picture[::-1, ::-1],
        4: picture[::-1],
        5: picture.transpose(1, 0, 2),
        6: np.rot90(picture, 1),
        7: picture[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(picture, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    decoded = decode_image(encode(np.ascontiguousarray(stored), kind, exif=exif, **options), LIMITS)
    assert decoded.shape == picture.shape
    assert np.abs(decoded.astype(int) - picture).max() <= (6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_is_none_counts_as_upright(picture: Any, orientation: int) -> None:
    assert np.array_equal(upright(picture, orientation), picture)


def test_garbage_in_exif_does_not_cost_the_picture(picture: Any, encode: Encode) -> None:
    data = encode(picture, "JPEG", exif=b"Exif\0\0" + bytes(range(64)))
    assert decode_image(data, LIMITS).shape == picture.shape


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey(picture: Any, encode: Encode, kind: str) -> None:
    decoded = decode_image(encode(picture[:, :, 0], kind), LIMITS)
    assert decoded.shape == picture.shape
    assert np.ptp(decoded.astype(int), axis=2).max() == 0
    assert np.abs(decoded[:, :, 0].astype(int) - picture[:, :, 0]).max() <= (8 if kind == "JPEG" else 0)


def test_bilevel(picture: Any, encode: Encode) -> None:
    decoded = decode_image(encode(Image.fromarray(picture[:, :, 0] > 100), "PNG"), LIMITS)
    assert np.array_equal(decoded[:, :, 1] == 255, picture[:, :, 0] > 100)


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_that_were_eight_come_back_exactly(picture: Any, extension: str, channels: int) -> None:
    wide = picture.astype(np.uint16) * 257
    ok, data = cv2.imencode(extension, wide[:, :, 0] if channels == 1 else wide[:, :, ::-1])
    assert ok
    expected = np.repeat(picture[:, :, :1], 3, axis=2) if channels == 1 else picture
    assert np.array_equal(decode_image(data.tobytes(), LIMITS), expected)


def test_numbers_without_a_defined_white_are_refused(picture: Any, encode: Encode) -> None:
    reason, detail = refused(encode(Image.fromarray(picture[:, :, 0].astype(np.float32)), "TIFF"))
    assert reason is Reason.NOT_MEDIA and "no defined white" in detail


def test_transparency_lies_over_the_background(picture: Any, encode: Encode) -> None:
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:, :32], alpha[:, 32:40] = 0, 51
    data = encode(np.dstack([picture, alpha]), "PNG")
    black, red = decode_image(data, LIMITS), decode_image(data, Limits(background=(200, 0, 0)))
    assert np.array_equal(black[:, 40:], picture[:, 40:])
    assert black[:, :32].max() == 0
    assert np.array_equal(red[:, :32], np.broadcast_to(np.uint8([200, 0, 0]), (48, 32, 3)))
    assert np.abs(black[:, 32:40] - picture[:, 32:40] * 0.2).max() <= 0.5
    opaque = encode(np.dstack([picture, np.full_like(alpha, 255)]), "PNG")
    assert np.array_equal(decode_image(opaque, LIMITS), picture)


def test_palette_with_and_without_transparency(picture: Any, encode: Encode) -> None:
    palette = Image.fromarray(picture).quantize(32)
    expected = np.asarray(palette.convert("RGB"))
    assert np.array_equal(decode_image(encode(palette, "PNG"), LIMITS), expected)
    see_through = decode_image(encode(palette, "PNG", transparency=0), LIMITS)
    clear = np.asarray(palette) == 0
    assert see_through[clear].max() == 0 and np.array_equal(see_through[~clear], expected[~clear])


def test_animated_gif_gives_its_first_frame(encode: Encode) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green", "blue")]
    decoded = decode_image(encode(frames[0], "GIF", save_all=True, append_images=frames[1:]), LIMITS)
    assert np.array_equal(decoded, np.broadcast_to(np.uint8([255, 0, 0]), (48, 64, 3)))


def test_cmyk_without_a_profile(picture: Any, encode: Encode) -> None:
    data = encode(Image.fromarray(picture).convert("CMYK"), "JPEG", quality=98, subsampling=0)
    assert np.abs(decode_image(data, LIMITS).astype(int) - picture).mean() < 3


def test_cmyk_with_an_unusable_profile_is_read_without_it(picture: Any, encode: Encode) -> None:
    image = Image.fromarray(picture).convert("CMYK")
    plain = decode_image(encode(image, "JPEG", quality=98, subsampling=0), LIMITS)
    with_garbage = encode(image, "JPEG", quality=98, subsampling=0, icc_profile=b"no profile at all" * 20)
    assert np.array_equal(decode_image(with_garbage, LIMITS), plain)


def cmyk_profile() -> bytes:
    """An ICC v2 printer profile that turns CMYK into L* = 100 - 100 K, ignoring the other inks."""
    clut = b"".join(bytes([0 if node & 1 else 255, 128, 128]) for node in range(16))
    matrix = struct.pack(">9i", *(65_536 if i % 4 == 0 else 0 for i in range(9)))
    lut = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + bytes(range(256)) * 4 + clut + bytes(range(256)) * 3
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63_190, 65_536, 54_061)
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"only K"[:4] + bytes(80)
    texts = b"text" + bytes(4) + b"none\0"
    tags, body, at = b"", b"", 128 + 4 + 4 * 12
    for tag, content in ((b"A2B0", lut), (b"wtpt", white), (b"desc", name), (b"cprt", texts)):
        padded = content + bytes(-len(content) % 4)
        tags += tag + struct.pack(">II", at + len(body), len(content))
        body += padded
    head = struct.pack(">I4sI4s4s4s12s4s", 0, b"none", 0x02100000, b"prtr", b"CMYK", b"Lab ", bytes(12), b"acsp")
    head = (head + bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061)).ljust(128, b"\0")
    whole = head + struct.pack(">I", 4) + tags + body
    return struct.pack(">I", len(whole)) + whole[4:]


def test_cmyk_goes_through_its_profile(encode: Encode) -> None:
    inks = np.zeros((48, 64, 4), np.uint8)
    inks[:, :32, 0], inks[:, 32:, 3] = 255, 255
    image = Image.frombytes("CMYK", (64, 48), inks.tobytes())
    data = encode(image, "TIFF", icc_profile=cmyk_profile())
    decoded = decode_image(data, LIMITS)
    assert decoded[:, :32].min() > 250, "this profile's cyan leaves no trace"
    assert decoded[:, 32:].max() < 5
    assert decode_image(encode(image, "TIFF"), LIMITS)[:, :32, 0].max() == 0, "without a profile cyan takes all red"


def test_damaged_cmyk_is_refused(picture: Any, encode: Encode) -> None:
    data = encode(Image.fromarray(picture).convert("CMYK"), "JPEG", quality=98, subsampling=0)
    assert refused(data[: len(data) * 2 // 3] + b"\xff\xd9")[0] is Reason.CORRUPT


def test_profiles_of_rgb_pictures_apply_only_where_asked(picture: Any, encode: Encode) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    everything = Limits(profiles="all")
    assert np.array_equal(decode_image(encode(picture, "PNG", icc_profile=srgb), everything), picture)
    assert np.array_equal(decode_image(encode(picture, "PNG", icc_profile=lab), LIMITS), picture)


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def test_size_is_judged_from_the_header(picture: Any, encode: Encode) -> None:
    reason, detail = refused(png_header(30_000, 30_000))
    assert reason is Reason.TOO_LARGE and "30000 x 30000" in detail and "max_pixels" in detail
    jpeg = bytearray(encode(picture, "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 30_000, 30_000)
    assert refused(bytes(jpeg))[0] is Reason.TOO_LARGE
    assert refused(encode(picture, "PNG"), Limits(max_pixels=48 * 64 - 1))[0] is Reason.TOO_LARGE
    assert decode_image(encode(picture, "PNG"), Limits(max_pixels=48 * 64)).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_one_pixel_is_too_small(encode: Encode, kind: str) -> None:
    assert refused(encode(np.zeros((1, 1, 3), np.uint8), kind))[0] is Reason.TOO_SMALL


def test_a_large_size_over_little_data_is_corrupt_and_cheap() -> None:
    assert refused(png_header(5_000, 5_000))[0] is Reason.CORRUPT


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9, 0.99])
def test_truncated_files_are_corrupt(picture: Any, encode: Encode, kind: str, kept: float) -> None:
    data = encode(picture, kind)
    assert refused(data[: int(len(data) * kept)])[0] is Reason.CORRUPT


@pytest.mark.parametrize("progressive", [False, True])
def test_jpegs_that_would_end_in_grey_are_corrupt(picture: Any, encode: Encode, progressive: bool) -> None:
    noisy = cv2.resize(picture, (320, 240)) // 2 + np.random.default_rng(0).integers(0, 128, (240, 320, 3), np.uint8)
    data = encode(noisy, "JPEG", quality=90, progressive=progressive)
    half = data[: len(data) // 2]
    assert refused(half + b"\xff\xd9")[0] is Reason.CORRUPT, "closed properly after half of the data"
    assert refused(half + bytes(len(data) - len(half)))[0] is Reason.CORRUPT, "the second half is zeros"
    if progressive:
        assert refused(data[:-2])[0] is Reason.CORRUPT, "the last marker is gone, and with it perhaps a scan"
    assert decode_image(data + b"trailing bytes of a camera maker", LIMITS).shape == (240, 320, 3)


def test_a_png_without_its_end_is_corrupt(picture: Any, encode: Encode) -> None:
    data = encode(picture, "PNG")
    for cut in (1, 4, 12):
        reason, detail = refused(data[:-cut])
        assert reason is Reason.CORRUPT and "before its last chunk" in detail


@pytest.mark.parametrize("data", [b"just some text\n", b"\0" * 500, b"<html><body>404</body></html>", b"%PDF-1.7", b"x"])
def test_what_is_no_image(data: bytes) -> None:
    assert refused(data)[0] is Reason.NOT_MEDIA


def test_formats_that_run_programs_or_have_no_decoder_are_refused() -> None:
    assert sniff_image(b"%!PS-Adobe-3.0 EPSF-3.0\n") is None
    reason, detail = refused(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert reason is Reason.NOT_MEDIA and "HEIF" in detail


def test_details_name_no_address(encode: Encode, picture: Any) -> None:
    for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"):
        assert "0x" not in refused(encode(picture, kind)[:40])[1]


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    "extra",
    [
        chunk(b"iCCP", b"ICC Profile\0\0" + zlib.compress(b"no profile at all")),
        chunk(b"iCCP", b"sRGB IEC61966-2-1 black scaled\0\0" + zlib.compress(bytes(3144))),
        chunk(b"gAMA", b"\0\0\0\0") + chunk(b"cHRM", bytes(32)),
        chunk(b"sRGB", b"\x09") + chunk(b"pHYs", b"\0\0\0\1\0\0\0\1\7"),
        chunk(b"tEXt", b"no keyword" * 12) + chunk(b"tIME", bytes(7)),
    ],
)
def test_a_png_of_which_decoders_complain_is_read_in_silence(
    picture: Any, encode: Encode, capfd: pytest.CaptureFixture[str], extra: bytes
) -> None:
    data = encode(picture, "PNG")
    assert np.array_equal(decode_image(data[:33] + extra + data[33:], LIMITS), decode_image(data, LIMITS))
    assert capfd.readouterr() == ("", "")


def several(encode: Encode, picture: Any) -> bytes:
    """Two pictures in one file, as phones and stereo cameras write them."""
    stream = io.BytesIO()
    first, second = (Image.open(io.BytesIO(encode(picture, "JPEG", quality=quality))) for quality in (90, 30))
    first.save(stream, "MPO", save_all=True, append_images=[second])
    return stream.getvalue()


def test_of_several_jpegs_in_a_file_the_first_is_read(picture: Any, encode: Encode) -> None:
    data = several(encode, picture)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == "MPO"
        assert np.array_equal(decode_image(data, LIMITS), np.asarray(opened))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_details_name_nothing_of_the_decoder(picture: Any, encode: Encode) -> None:
    """Neither a type of Python nor a key that a decoder looked for: ``KeyError: 'MPO'`` tells nobody what is wrong."""
    rng = np.random.default_rng(5)
    kinds = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000")
    files = [several(encode, picture), *(encode(picture, kind) for kind in kinds)]
    told: set[str] = set()
    for data in files:
        for _ in range(60):
            broken = bytearray(data[: rng.choice([len(data), 40, 200])])
            for at in rng.integers(2, min(len(broken), 120), 3):
                broken[at] = rng.integers(256)
            try:
                decode_image(bytes(broken), LIMITS)
            except SampleError as error:
                told.add(error.detail)
    assert len(told) > 20 and not [one for one in told if re.search(r"Error\b|Exception|Warning|KeyError|<object>", one)]


@pytest.fixture(scope="module")
def sound() -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    pixels = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (64, 48))
    files = {}
    for kind, options in (("JPEG", {}), ("progressive", {"progressive": True}), ("PNG", {}), ("GIF", {}), ("WEBP", {})):
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG" if kind == "progressive" else kind, **options)
        files[kind] = stream.getvalue()
    return files


@settings(derandomize=True, max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["JPEG", "progressive", "PNG", "GIF", "WEBP"]), st.data())
def test_mutated_files_give_an_image_or_a_reason(sound: dict[str, bytes], kind: str, draws: st.DataObject) -> None:
    data = bytearray(sound[kind])
    for _ in range(draws.draw(st.integers(1, 4))):
        at = draws.draw(st.integers(0, max(0, len(data) - 1)))
        action = draws.draw(st.sampled_from(["set", "cut", "insert", "remove"]))
        if action == "set" and data:
            data[at] = draws.draw(st.integers(0, 255))
        elif action == "cut":
            del data[at:]
        elif action == "insert":
            data[at:at] = draws.draw(st.binary(max_size=8))
        else:
            del data[at : at + draws.draw(st.integers(1, 64))]
    try:
        decoded = decode_image(bytes(data), Limits(max_pixels=1 << 22))
    except SampleError as error:
        assert error.detail and "\n" not in error.detail
    else:
        assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3
        # Every byte of a PNG is under a checksum, so none that counts can change unnoticed.
        assert kind != "PNG" or bytes(data).startswith(sound[kind])


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"P6 "]),
    st.binary(max_size=200),
)
def test_garbage_behind_any_signature_gives_an_image_or_a_reason(signature: bytes, garbage: bytes) -> None:
    try:
        assert decode_image(signature + garbage, LIMITS).shape[2] == 3
    except SampleError as error:
        assert error.reason in (Reason.NOT_MEDIA, Reason.CORRUPT, Reason.TOO_LARGE, Reason.TOO_SMALL)


def test_real_photographs_are_equal_to_opencv(data: Path) -> None:
    files = sorted((data / "celeba_spoof_dev").rglob("*.jpg"))[::20]
    assert files
    for file in files:
        expected = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
        assert np.array_equal(decode_image(file.read_bytes(), LIMITS), expected), file.name


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_the_mark_of_its_end_is_whole(picture: Any, encode: Encode, subsampling: int, mode: str) -> None:
    image = Image.fromarray(picture).convert(mode)
    options = {"subsampling": subsampling} if mode == "RGB" else {}
    data = encode(image, "JPEG", quality=90, **options)
    whole = decode_image(data, LIMITS)
    assert np.array_equal(decode_image(data[:-2], LIMITS), whole)
    assert np.array_equal(decode_image(data[:-1], LIMITS), whole)
    for cut in range(3, 12):
        # A byte less may cut nothing but padding.
        try:
            assert np.array_equal(decode_image(data[:-cut], LIMITS), whole)
        except SampleError as error:
            assert error.reason is Reason.CORRUPT
    assert refused(data[:-40])[0] is Reason.CORRUPT


def test_the_end_of_a_thumbnail_is_none_of_the_picture(picture: Any, encode: Encode) -> None:
    small = encode(picture[::4, ::4], "JPEG")
    data = encode(picture, "JPEG", exif=b"Exif\0\0" + small, quality=90)
    assert np.array_equal(decode_image(data[:-2], LIMITS), decode_image(data, LIMITS))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "PPM", "GIF", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_pictures_can_be_written_to(picture: Any, encode: Encode, kind: str, mode: str) -> None:
    if kind in ("JPEG", "PPM") and mode in ("RGBA", "P"):
        mode = "RGB"
    decoded = decode_image(encode(Image.fromarray(picture).convert(mode), kind), LIMITS)
    assert decoded.flags.writeable and decoded.flags.c_contiguous
