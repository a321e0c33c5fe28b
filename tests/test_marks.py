"""The mark of generated pictures: there, readable by others, and nothing else changed."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from fasgen.manifests.images import decode_image, encode_png
from fasgen.marks import mark, marked

PICTURE = np.random.default_rng(0).integers(0, 256, (13, 17, 3), np.uint8)


def test_a_mark_changes_no_pixel_and_is_the_same_every_time() -> None:
    plain, made = encode_png(PICTURE, "here"), encode_png(PICTURE, "here", "compositeSynthetic")
    assert made == encode_png(PICTURE, "here", "compositeSynthetic") != plain
    assert (decode_image(made, "here") == decode_image(plain, "here")).all()
    assert marked(made) == "compositeSynthetic" and marked(plain) == ""


def test_other_readers_see_picture_and_packet() -> None:
    made = encode_png(PICTURE, "here", "compositeWithTrainedAlgorithmicMedia")
    with Image.open(BytesIO(made)) as opened:
        opened.verify()
    with Image.open(BytesIO(made)) as opened:
        assert (np.asarray(opened) == PICTURE).all()
        packet = opened.info["XML:com.adobe.xmp"]
        assert "digitalsourcetype/compositeWithTrainedAlgorithmicMedia" in packet
    assert (cv2.imdecode(np.frombuffer(made, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1] == PICTURE).all()


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + b"\xff" * 40])
def test_what_is_no_png_has_no_mark_and_gets_none(data: bytes) -> None:
    assert marked(data) == ""
    with pytest.raises(ValueError, match="only a PNG"):
        mark(data, "compositeSynthetic")
