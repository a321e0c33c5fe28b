from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fasgen.records import Reason
from fasgen.sources import video
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError
from fasgen.sources.sampling import Sampling, uniform_indices
from fasgen.sources.video import sample_frames

Numbered = Callable[..., Path]
IndexOf = Callable[[Any], int]
LIMITS = Limits()


@contextmanager
def opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        os.close(file)


def refused(path: Path, limits: Limits = LIMITS, n: int = 10) -> tuple[Reason, str]:
    with opened(path) as file, pytest.raises(SampleError) as caught:
        sample_frames(file, Sampling(count=n), limits)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize(("name", "codec"), [("v.avi", "MJPG"), ("v.mp4", "mp4v"), ("v.mkv", "MJPG"), ("v.mov", "mp4v")])
@pytest.mark.parametrize(("frames", "n"), [(37, 10), (100, 10), (10, 10), (4, 10), (1, 3)])
def test_frames_are_those_of_their_decoded_index(
    tmp_path: Path, numbered: Numbered, index_of: IndexOf, name: str, codec: str, frames: int, n: int
) -> None:
    with opened(numbered(tmp_path / name, frames, codec)) as file:
        result = sample_frames(file, Sampling(count=n), LIMITS)
    assert result.count == frames
    assert result.indices == uniform_indices(frames, n)
    assert {k: index_of(frame) for k, frame in result.frames.items()} == {
        k: index for k, index in enumerate(result.indices) if index is not None
    }


def test_the_stated_count_is_not_believed(tmp_path: Path, numbered: Numbered, index_of: IndexOf) -> None:
    path = numbered(tmp_path / "v.avi", 37)
    data = path.read_bytes()
    for stated in (0, 5, 36, 1000):
        # The count stands in the main header and in the stream header.
        main, stream = data.index(b"avih") + 8 + 16, data.index(b"strh") + 8 + 32
        wrong = bytearray(data)
        wrong[main : main + 4] = wrong[stream : stream + 4] = stated.to_bytes(4, "little")
        path.write_bytes(wrong)
        with opened(path) as file:
            result = sample_frames(file, Sampling(count=10), LIMITS)
        assert result.count == 37
        assert [index_of(result.frames[k]) for k in range(10)] == list(uniform_indices(37, 10))


def test_a_right_guess_takes_one_pass(tmp_path: Path, numbered: Numbered, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    inner = video.FrameStream
    monkeypatch.setattr(video, "FrameStream", lambda *a: passes.append(1) or inner(*a))
    with opened(numbered(tmp_path / "v.avi", 37)) as file:
        sample_frames(file, Sampling(count=10), LIMITS)
    assert len(passes) == 1


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotation_metadata_is_honoured(
    tmp_path: Path, rotate_mp4: Callable[[bytes, int], bytes], numbered: Numbered, degrees: int
) -> None:
    path = numbered(tmp_path / "v.mp4", 12, "mp4v")
    with opened(path) as file:
        plain = sample_frames(file, Sampling(count=3), LIMITS).frames
    path.write_bytes(rotate_mp4(path.read_bytes(), degrees))
    with opened(path) as file:
        turned = sample_frames(file, Sampling(count=3), LIMITS).frames
    for k in range(3):
        assert np.array_equal(turned[k], np.rot90(plain[k], -degrees // 90))


def test_frames_beyond_the_memory_limit_come_later(
    tmp_path: Path, numbered: Numbered, index_of: IndexOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(video, "KEPT_BYTES", 2 * 320 * 240 * 3)
    with opened(numbered(tmp_path / "v.avi", 37)) as file:
        assert sorted(sample_frames(file, Sampling(count=10), LIMITS).frames) == [0, 1]
        later = sample_frames(file, Sampling(count=10), LIMITS, first=5)
    assert sorted(later.frames) == [5, 6]
    assert index_of(later.frames[5]) == later.indices[5]


@pytest.mark.parametrize(("name", "codec"), [("v.avi", "MJPG"), ("v.mp4", "mp4v"), ("v.mkv", "MJPG")])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.995])
def test_truncated_videos_are_corrupt(tmp_path: Path, numbered: Numbered, name: str, codec: str, kept: float) -> None:
    path = numbered(tmp_path / name, 60, codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    assert refused(path)[0] is Reason.CORRUPT


@pytest.mark.parametrize(("name", "codec"), [("v.avi", "MJPG"), ("v.mp4", "mp4v"), ("w.avi", "XVID")])
def test_damage_in_the_middle_is_corrupt(tmp_path: Path, numbered: Numbered, name: str, codec: str) -> None:
    path = numbered(tmp_path / name, 60, codec)
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    assert refused(path)[0] is Reason.CORRUPT


def test_a_header_without_frames_is_corrupt(tmp_path: Path, numbered: Numbered) -> None:
    path = numbered(tmp_path / "v.avi", 20)
    data = bytearray(path.read_bytes())
    start = data.index(b"movi") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)
    assert refused(path)[0] is Reason.CORRUPT


@pytest.mark.parametrize(
    "data",
    [
        b"just some text\n" * 50,
        b"#EXTM3U\n#EXTINF:9,\n/etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"RIFF\x24\0\0\0WAVEfmt " + bytes(28),
        b"x",
    ],
)
def test_what_is_no_video_never_reaches_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(video, "_open", lambda file: pytest.fail("handed to ffmpeg"))
    (tmp_path / "v.mp4").write_bytes(data)
    assert refused(tmp_path / "v.mp4")[0] is Reason.NOT_MEDIA


def test_a_container_without_a_video_stream(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"\0\0\0\x14ftypM4A \0\0\0\0M4A " + b"\0\0\0\x08moov")
    reason, detail = refused(tmp_path / "v.mp4")
    assert reason is Reason.CORRUPT and "no video stream" in detail


def test_an_image_under_a_videos_name(tmp_path: Path, picture: Any, encode: Callable[..., bytes]) -> None:
    (tmp_path / "v.mp4").write_bytes(encode(picture, "JPEG"))
    reason, detail = refused(tmp_path / "v.mp4")
    assert reason is Reason.NOT_MEDIA and "JPEG" in detail


def test_limits_of_videos(tmp_path: Path, numbered: Numbered) -> None:
    path = numbered(tmp_path / "v.avi", 30)
    assert refused(path, Limits(max_pixels=320 * 240 - 1))[0] is Reason.TOO_LARGE
    assert refused(path, Limits(min_side=241))[0] is Reason.TOO_SMALL
    assert refused(path, Limits(max_frames=29))[0] is Reason.TOO_LARGE
    with opened(path) as file:
        assert sample_frames(file, Sampling(count=10), Limits(max_frames=30)).count == 30


@settings(derandomize=True, max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["v.avi", "v.mp4"]), st.data())
def test_mutated_videos_give_frames_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, numbered: Numbered, name: str, draws: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutated"
    folder.mkdir(exist_ok=True)
    sound = folder / name
    if not sound.exists():
        numbered(sound, 12, "MJPG" if name.endswith("avi") else "mp4v", size=(64, 48))
    data = bytearray(sound.read_bytes())
    for _ in range(draws.draw(st.integers(1, 8))):
        data[draws.draw(st.integers(0, len(data) - 1))] = draws.draw(st.integers(0, 255))
    changed = folder / f"changed-{name}"
    changed.write_bytes(data)
    with opened(changed) as file:
        try:
            result = sample_frames(file, Sampling(count=4), Limits(max_pixels=1 << 22))
        except SampleError as error:
            assert error.detail
        else:
            assert all(frame.dtype == np.uint8 and frame.shape[2] == 3 for frame in result.frames.values())


def test_nothing_is_written_to_the_terminal(tmp_path: Path, numbered: Numbered) -> None:
    paths = [numbered(tmp_path / "v.avi", 20), numbered(tmp_path / "w.mp4", 20, "mp4v")]
    for path in paths:
        data = bytearray(path.read_bytes())
        data[len(data) // 3 : len(data) // 2] = bytes(len(data) // 2 - len(data) // 3)
        path.write_bytes(data)
    (tmp_path / "x.mp4").write_bytes(b"\0\0\0\x14ftypM4A \0\0\0\0M4A " + b"\0\0\0\x08moov")
    code = """
import os, sys
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError
from fasgen.sources.sampling import Sampling
from fasgen.sources.video import sample_frames
for path in sys.argv[1:]:
    try:
        sample_frames(os.open(path, os.O_RDONLY), Sampling(count=5), Limits())
    except SampleError:
        pass
"""
    arguments = [sys.executable, "-c", code, *map(str, paths), str(tmp_path / "x.mp4")]
    finished = subprocess.run(arguments, capture_output=True, check=True, timeout=60)
    assert finished.stdout == b"" and finished.stderr == b""
