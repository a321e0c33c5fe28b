from __future__ import annotations

import errno
import hashlib
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fasgen.records import Reason
from fasgen.sources import footage, opening, video
from fasgen.sources.config import Limits, SourceConfig
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.paths import escape
from fasgen.sources.sampling import Sampling
from fasgen.sources.scan import scan

Refusal = Callable[..., tuple[str, str]]
Encode = Callable[..., bytes]


def test_a_still(tmp_path: Path, picture: Any, encode: Encode, row: Any) -> None:
    (tmp_path / "a.png").write_bytes(encode(picture, "PNG"))
    image, values = Decoder(tmp_path).read(row("a.png"))
    assert np.array_equal(image, picture)
    assert values == {
        "frame": None,
        "frame_requested": None,
        "frames_decoded": None,
        "source_sha256": hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest(),
    }


def test_each_bad_file_has_its_reason(refusal: Refusal, picture: Any, encode: Encode) -> None:
    assert refusal(b"")[0] == "empty_file"
    assert refusal(b"", k=0, n=10)[0] == "empty_file"
    assert refusal(b"text named .jpg", name="a.jpg")[0] == "not_media"
    assert refusal(encode(picture, "JPEG")[:-20])[0] == "corrupt"
    assert refusal(encode(picture[:1, :1], "PNG"))[0] == "too_small"


def test_files_that_cannot_be_opened(tmp_path: Path, row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    decoder = Decoder(tmp_path)
    for name in ("folder", "loop", "pipe", "missing", "x" * 300, r"broken\escape"):
        for k in (None, 0):
            with pytest.raises(SampleError) as caught:
                decoder.read(row(name, k, None if k is None else 3))
            assert caught.value.reason is Reason.UNREADABLE
            assert str(tmp_path) not in caught.value.detail


def test_permission_denied(tmp_path: Path, picture: Any, encode: Encode, row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encode(picture, "PNG"))

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path / "a.png"))

    monkeypatch.setattr(opening.os, "open", refuse)
    with pytest.raises(SampleError) as caught:
        Decoder(tmp_path).read(row("a.png"))
    assert (caught.value.reason, caught.value.detail) == (Reason.UNREADABLE, "Permission denied")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a file away and drop its rights")
def test_a_file_without_read_permission(tmp_path: Path, picture: Any, encode: Encode, row: Any) -> None:
    (tmp_path / "a.png").write_bytes(encode(picture, "PNG"))
    (tmp_path / "a.png").chmod(0)
    here = os.open(tmp_path, os.O_RDONLY)
    os.seteuid(65_534)
    try:
        with pytest.raises(SampleError) as caught:
            Decoder(Path(f"/proc/self/fd/{here}")).read(row("a.png"))
    finally:
        os.seteuid(0)
        os.close(here)
    assert caught.value.reason is Reason.UNREADABLE


def test_a_read_error_in_the_middle(
    tmp_path: Path, picture: Any, encode: Encode, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(encode(picture, "PNG"))

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(opening.os, "read", fail)
    with pytest.raises(SampleError) as caught:
        Decoder(tmp_path).read(row("a.png"))
    assert caught.value.reason is Reason.UNREADABLE


def test_large_files_are_refused_unread(tmp_path: Path, row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(SampleError) as caught:
        Decoder(tmp_path).read(row("a.jpg"))
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_video_under_an_images_name(refusal: Refusal, tmp_path: Path, numbered: Any) -> None:
    data = numbered(tmp_path / "v.avi", 5).read_bytes()
    reason, detail = refusal(data, name="v.jpg")
    assert reason == "not_media" and "AVI" in detail


def test_a_video_is_decoded_once_for_all_its_rows(
    tmp_path: Path, numbered: Any, index_of: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    inner = footage.sample_frames
    monkeypatch.setattr(footage, "sample_frames", lambda *a, **k: calls.append(1) or inner(*a, **k))
    numbered(tmp_path / "v.avi", 37)
    decoder = Decoder(tmp_path)
    for k in range(10):
        image, values = decoder.read(row("v.avi", k, 10))
        assert index_of(image) == values["frame"] == values["frame_requested"] == (2 * k + 1) * 37 // 20
        assert values["frames_decoded"] == 37
        assert values["source_sha256"] == hashlib.sha256((tmp_path / "v.avi").read_bytes()).hexdigest()
    assert len(calls) == 1
    (tmp_path / "w.avi").write_bytes((tmp_path / "v.avi").read_bytes()[:9000])
    for k in range(10):
        with pytest.raises(SampleError):
            decoder.read(row("w.avi", k, 10))
    assert len(calls) == 2, "a broken video is not decoded again for each of its rows"


def test_starting_in_the_middle_gives_the_same_frames(tmp_path: Path, numbered: Any, row: Any) -> None:
    numbered(tmp_path / "v.avi", 37)
    in_order = Decoder(tmp_path)
    for k in range(10):
        expected, _ = in_order.read(row("v.avi", k, 10))
        alone, _ = Decoder(tmp_path).read(row("v.avi", k, 10))
        assert np.array_equal(alone, expected)
    backwards = Decoder(tmp_path)
    assert [backwards.read(row("v.avi", k, 10))[1]["frame"] for k in (9, 2)] == [35, 9]


def test_videos_larger_than_what_is_kept(
    tmp_path: Path, numbered: Any, index_of: Any, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "KEPT_BYTES", 3 * 320 * 240 * 3)
    numbered(tmp_path / "v.avi", 37)
    for order in (range(10), range(9, -1, -1), (4, 3, 8)):
        decoder = Decoder(tmp_path)
        for k in order:
            image, values = decoder.read(row("v.avi", k, 10))
            assert index_of(image) == values["frame"] == (2 * k + 1) * 37 // 20


def test_a_short_video_gives_each_frame_once(tmp_path: Path, numbered: Any, row: Any) -> None:
    numbered(tmp_path / "v.avi", 3)
    decoder, found, short = Decoder(tmp_path), [], 0
    for k in range(5):
        try:
            found.append(decoder.read(row("v.avi", k, 5))[1]["frame"])
        except SampleError as error:
            assert error.reason is Reason.VIDEO_TOO_SHORT and "3 frames" in error.detail
            short += 1
    assert found == [0, 1, 2] and short == 2


HARD_NAMES = [
    b"with space.png",
    b"quote'\".png",
    b"new\nline.png",
    b"not-utf8-\xff\xfe.png",
    b"back\\slash.png",
    b"%d-percent.png",
]


def test_hard_names_survive_from_disk_to_pixels(tmp_path: Path, picture: Any, encode: Encode, numbered: Any) -> None:
    for raw in HARD_NAMES:
        (tmp_path / os.fsdecode(raw)).write_bytes(encode(picture, "PNG"))
    numbered(tmp_path / "v.avi", 5).rename(tmp_path / os.fsdecode(b"%d \xff\n.avi"))
    rows = scan(SourceConfig(name="hard", path=tmp_path, frames=2))
    assert {row.path for row in rows} == {escape(os.fsdecode(raw)) for raw in [*HARD_NAMES, b"%d \xff\n.avi"]}
    decoder = Decoder(tmp_path, Limits())
    assert [decoder.read(row)[0].shape[2] for row in rows] == [3] * 8


def test_known_clips_are_turned_upright(tmp_path: Path, picture: Any, encode: Encode, numbered: Any, row: Any) -> None:
    (tmp_path / "a_003.png").write_bytes(encode(picture, "PNG"))
    (tmp_path / "b.png").write_bytes(encode(picture, "PNG"))
    numbered(tmp_path / "v_003.avi", 5)
    decoder = Decoder(tmp_path, rotate={r"_003\.": 90, "a": 180})
    assert np.array_equal(decoder.read(row("a_003.png"))[0], np.rot90(picture, -1)), "the first pattern counts"
    assert np.array_equal(decoder.read(row("b.png"))[0], picture)
    plain, _ = Decoder(tmp_path).read(row("v_003.avi", 1, 2))
    turned, values = decoder.read(row("v_003.avi", 1, 2))
    assert np.array_equal(turned, np.rot90(plain, -1)) and turned.flags.c_contiguous
    nearby = decoder.nearby(row("v_003.avi", 1, 2), values)
    assert nearby and all(frame.shape == turned.shape for _, frame in nearby())


@pytest.fixture
def tarred(tmp_path: Path, numbered: Any, row: Any) -> Any:
    """Rows of one video of 37 frames inside a tar."""
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(numbered(tmp_path / "v.avi", 37), "v.avi")
    return lambda k, n: replace(row("all.tar/v.avi", k, n), container="tar")


def test_the_policy_holds_inside_other_files(tmp_path: Path, tarred: Any, index_of: Any) -> None:
    decoder = Decoder(tmp_path, sampling=Sampling(policy="ssdg"))
    for k, expected in enumerate((6, 6 + 37 // 2)):
        image, values = decoder.read(tarred(k, 2))
        assert index_of(image) == expected
        assert values == {"frame": expected, "frame_requested": expected, "frames_decoded": 37, "source_sha256": None}
        assert decoder.nearby(tarred(k, 2), values) is None
    plain = Decoder(tmp_path)
    assert [plain.read(tarred(k, 4))[1]["frame"] for k in range(4)] == [4, 13, 23, 32]
    every = Decoder(tmp_path, sampling=Sampling(policy="every", count=6))
    assert every.read(tarred(4, 6))[1]["frame"] == 32
    with pytest.raises(SampleError) as caught:
        every.read(tarred(5, 6))
    assert caught.value.reason is Reason.VIDEO_TOO_SHORT and "37 frames" in caught.value.detail


def test_what_lies_inside_other_files_is_turned_as_well(tmp_path: Path, tarred: Any) -> None:
    plain, _ = Decoder(tmp_path).read(tarred(0, 1))
    turned, _ = Decoder(tmp_path, rotate={r"v\.avi$": 270}).read(tarred(0, 1))
    assert np.array_equal(turned, np.rot90(plain))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_shipped_marks_turn_with_their_picture(tmp_path: Path, encode: Encode, row: Any, degrees: Any) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[10:20, 5:35, 0] = 255
    image[12:14, 8:10, 1], image[12:14, 30:32, 2] = 255, 255
    (tmp_path / "a.png").write_bytes(encode(image, "PNG"))
    (tmp_path / "a.face").write_text("5 10 30 10 9 13 31 13")
    spelt = "x y w h left_eye_x left_eye_y right_eye_x right_eye_y"
    marked = replace(row("a.png"), marks="a.face", marks_format=spelt)
    turned, values = Decoder(tmp_path, rotate={".": degrees}).read(marked)
    assert values["shipped_box"] == extent(turned[..., 0])
    centres = [(low + high) / 2 for colour in (1, 2) for low, high in np.reshape(extent(turned[..., colour]), (2, 2)).T]
    assert values["shipped_eyes"] == centres


def extent(mask: Any) -> list[float]:
    """Left, top, right and bottom of what is not black, px."""
    y, x = np.nonzero(mask)
    return [float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1)]
