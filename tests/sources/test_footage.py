from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fasgen.records import Reason
from fasgen.sources import footage
from fasgen.sources.config import Limits
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.footage import Footage, Vicinity
from fasgen.sources.sampling import Sampling, neighbours

Numbered = Callable[..., Path]
IndexOf = Callable[[Any], int]
LIMITS = Limits()
EVERY = Sampling(policy="every", step=7, start=1, count=8)


def outcome(clip: Footage, k: int) -> tuple[Any, ...]:
    try:
        frame, index = clip.frame(k)
    except SampleError as error:
        return error.reason, error.detail
    return index, frame.tobytes()


@pytest.mark.parametrize("sampling", [EVERY, Sampling(policy="index", start=5), Sampling(policy="all", count=40)])
def test_fixed_indices_are_streamed(tmp_path: Path, numbered: Numbered, index_of: IndexOf, sampling: Sampling) -> None:
    numbered(tmp_path / "v.avi", 37)
    clip = Footage(str(tmp_path), "v.avi", sampling, LIMITS)
    for k, index in enumerate(sampling.indices(37)):
        if index is None:
            with pytest.raises(SampleError) as caught:
                clip.frame(k)
            assert caught.value.reason is Reason.VIDEO_TOO_SHORT and "ends after 37 frames" in caught.value.detail
        else:
            frame, found = clip.frame(k)
            assert index_of(frame) == found == index


def test_streaming_opens_a_video_once_and_decodes_no_further_than_it_must(
    tmp_path: Path, numbered: Numbered, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = []
    inner = footage.FrameStream
    monkeypatch.setattr(footage, "FrameStream", lambda *a: streams.append(inner(*a)) or streams[-1])
    numbered(tmp_path / "v.avi", 200)
    clip = Footage(str(tmp_path), "v.avi", EVERY, LIMITS)
    for k in range(3):
        clip.frame(k)
        clip.frame(k)
    assert [stream.count for stream in streams] == [16]


def test_order_of_requests_changes_nothing(tmp_path: Path, numbered: Numbered) -> None:
    whole = numbered(tmp_path / "v.avi", 37).read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2 : len(whole) // 2 + 3000] = bytes(3000)
    (tmp_path / "w.mp4").write_bytes(numbered(tmp_path / "s.mp4", 37, "mp4v").read_bytes())
    inside = bytearray((tmp_path / "w.mp4").read_bytes())
    inside[len(inside) // 2 : len(inside) // 2 + len(inside) // 4] = bytes(len(inside) // 4)
    (tmp_path / "d.mp4").write_bytes(inside)
    (tmp_path / "d.avi").write_bytes(damaged)
    for name in ("v.avi", "w.mp4", "d.mp4", "d.avi"):
        for sampling in (EVERY, Sampling(count=8), Sampling(policy="ssdg", count=8)):
            straight = Footage(str(tmp_path), name, sampling, LIMITS)
            expected = [outcome(straight, k) for k in range(8)]
            mixed = Footage(str(tmp_path), name, sampling, LIMITS)
            for k in (5, 0, 7, 3, 3, 6, 1, 4, 2):
                assert outcome(mixed, k) == expected[k]


@pytest.mark.parametrize("room", [1 << 28, 1, 5 * 320 * 240 * 3])
def test_frames_around_a_request(
    tmp_path: Path, numbered: Numbered, index_of: IndexOf, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(footage, "VICINITY_BYTES", room)
    numbered(tmp_path / "v.avi", 37)
    for sampling, count in ((Sampling(count=4, nearest=3), 37), (Sampling(policy="ssdg", count=3), 37), (EVERY, None)):
        vicinity = Vicinity(str(tmp_path), LIMITS)
        indices = sampling.indices(37)
        for k in (2, 0, 1):
            found = list(vicinity.frames("v.avi", sampling, k, count))
            assert [index for index, _ in found] == [i for i in neighbours(indices, k, sampling.nearest) if i < 37]
            assert [index_of(frame) for _, frame in found] == [index for index, _ in found]


def test_one_pass_serves_the_misses_that_follow(tmp_path: Path, numbered: Numbered, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    inner = footage.FrameStream
    monkeypatch.setattr(footage, "FrameStream", lambda *a: passes.append(1) or inner(*a))
    numbered(tmp_path / "v.avi", 37)
    vicinity = Vicinity(str(tmp_path), LIMITS)
    for k in range(2, 10):
        assert list(vicinity.frames("v.avi", Sampling(), k, 37))
    assert len(passes) == 1


def test_what_has_no_neighbours(tmp_path: Path, numbered: Numbered, row: Any, picture: Any, encode: Any) -> None:
    numbered(tmp_path / "v.avi", 37)
    (tmp_path / "a.png").write_bytes(encode(picture, "PNG"))
    for sampling in (Sampling(count=3, nearest=0), Sampling(policy="all", count=3)):
        decoder = Decoder(tmp_path, sampling=sampling)
        assert decoder.nearby(row("v.avi", 0, 3), decoder.read(row("v.avi", 0, 3))[1]) is None
    assert decoder.nearby(row("a.png"), decoder.read(row("a.png"))[1]) is None


def test_a_file_that_has_gone_has_no_neighbours(tmp_path: Path, numbered: Numbered, row: Any) -> None:
    numbered(tmp_path / "v.avi", 37)
    decoder = Decoder(tmp_path)
    _, values = decoder.read(row("v.avi", 0, 3))
    (tmp_path / "v.avi").unlink()
    nearby = decoder.nearby(row("v.avi", 0, 3), values)
    assert nearby is not None and list(nearby()) == []


def test_memory_that_runs_out_is_a_reason(tmp_path: Path, numbered: Numbered, monkeypatch: pytest.MonkeyPatch) -> None:
    numbered(tmp_path / "v.avi", 37)
    monkeypatch.setattr(footage, "sample_frames", lambda *a, **k: np.empty((1 << 60,), np.uint8))
    clip = Footage(str(tmp_path), "v.avi", Sampling(), LIMITS)
    for _ in range(2):
        with pytest.raises(SampleError) as caught:
            clip.frame(0)
        assert caught.value.reason is Reason.OUT_OF_MEMORY
