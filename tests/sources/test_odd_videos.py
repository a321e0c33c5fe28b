"""Videos as cameras, phones and broken copies leave them, encoded by ffmpeg: each ends as frames or as a reason."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fasgen.sources.config import SourceConfig
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.sampling import Sampling
from fasgen.sources.scan import scan

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="needs the package imageio-ffmpeg, which carries ffmpeg")

Encode = Callable[..., Path]
BARS = "color=c=red:size=64x48:rate=25:duration={seconds},drawbox=x=0:w=32:color=blue:t=fill"
TONE = "sine=frequency=440:duration=1"


@pytest.fixture
def encode(tmp_path: Path) -> Encode:
    """Runs ffmpeg: left half blue, right half red, 64 x 48, 25 frames a second."""

    def make(name: str, *options: str, seconds: float = 2, source: str = BARS) -> Path:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-threads", "1", "-f", "lavfi"]
        command += ["-i", source.format(seconds=seconds), *options, "-threads", "1", str(tmp_path / name)]
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        return tmp_path / name

    return make


def outcomes(path: Path, sampling: Sampling | None = None) -> list[Any]:
    """Of each row of the only file of a folder: decoded index and picture, or reason and detail."""
    sampling = sampling or Sampling(count=5)
    found: list[Any] = []
    listing = scan(SourceConfig(name="odd", path=path.parent, include=(path.name,), frames=sampling))
    decoder = Decoder(path.parent, sampling=sampling)
    for row in listing:
        try:
            image, values = decoder.read(row)
        except SampleError as error:
            found.append((error.reason.value, error.detail))
        else:
            found.append((values["frame"], image))
    return found


def is_upright(image: Any) -> bool:
    """Blue on the left, red on the right."""
    half = image.shape[1] // 2
    left, right = image[:, : half - 4].mean((0, 1)), image[:, half + 4 :].mean((0, 1))
    return bool(left[2] > 150 > left[0] and right[0] > 150 > right[2])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("h264.mp4", ("-c:v", "libx264")),
        ("hevc.mov", ("-c:v", "libx265", "-x265-params", "log-level=none:pools=1")),
        ("ten_bit.mp4", ("-c:v", "libx264", "-pix_fmt", "yuv420p10le")),
        ("ten_bit_hevc.mp4", ("-c:v", "libx265", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none:pools=1")),
        ("b_frames.mkv", ("-c:v", "libx264", "-bf", "3", "-g", "50")),
        ("vp9.webm", ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")),
        ("fragments.mp4", ("-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov")),
        ("broadcast.ts", ("-c:v", "libx264")),
        ("full_chroma.avi", ("-c:v", "huffyuv", "-pix_fmt", "rgb24")),
        ("grey.avi", ("-c:v", "ffv1", "-pix_fmt", "gray")),
    ],
)
def test_formats(encode: Encode, name: str, options: tuple[str, ...]) -> None:
    found = outcomes(encode(name, *options))
    assert [index for index, _ in found] == list(Sampling(count=5).indices(50))
    for _, image in found:
        assert image.shape == (48, 64, 3) and image.dtype == np.uint8
        assert name == "grey.avi" or is_upright(image)


@pytest.mark.parametrize("sampling", [Sampling(count=5), Sampling(policy="index"), Sampling(policy="every", count=3)])
@pytest.mark.parametrize(("name", "codec"), [("i.mpg", "mpeg2video"), ("i.mp4", "libx264"), ("i.avi", "mpeg4")])
def test_interlaced_videos_give_true_pictures_or_a_reason(encode: Encode, name: str, codec: str, sampling: Sampling) -> None:
    """Some builds of OpenCV hand out raw memory for interlaced frames and call it a picture."""
    found = outcomes(encode(name, "-vf", "interlace", "-c:v", codec, "-flags", "+ildct+ilme", "-b:v", "1M"), sampling)
    assert len(found) == sampling.rows
    for index, one in found:
        assert is_upright(one) if isinstance(index, int) else index == "corrupt" and "interlaced" in one


def test_a_black_beginning_is_no_damage(encode: Encode) -> None:
    path = encode("fade.mp4", "-vf", "fade=in:0:20", "-c:v", "libx264")
    found = outcomes(path, Sampling(policy="every", step=40, count=2))
    assert [index for index, _ in found] == [0, 40]
    assert found[0][1].max() <= 2 and is_upright(found[1][1])


def test_a_frozen_picture_is_a_video(encode: Encode) -> None:
    """Frames that are equal byte by byte are no sign of damage."""
    path = encode("frozen.avi", "-c:v", "huffyuv", "-pix_fmt", "rgb24")
    found = outcomes(path)
    assert len({image.tobytes() for _, image in found}) == 1 and all(is_upright(image) for _, image in found)


def test_a_video_of_one_frame(encode: Encode) -> None:
    path = encode("one.mp4", "-c:v", "libx264", "-frames:v", "1")
    (first, *rest) = outcomes(path)
    assert first[0] == 0 and is_upright(first[1])
    assert {reason for reason, _ in rest} == {"video_too_short"} and len(rest) == 4
    assert [index for index, _ in outcomes(path, Sampling(policy="ssdg"))] == [0, "video_too_short"]
    assert [index for index, _ in outcomes(path, Sampling(policy="index", start=5))] == ["video_too_short"]


@pytest.mark.parametrize("sampling", [Sampling(count=4), Sampling(policy="every", step=9, count=4)])
def test_a_variable_frame_rate(encode: Encode, sampling: Sampling) -> None:
    """30 frames, the later ones far apart in time: what counts is how many are decoded, not how long they last."""
    path = encode(
        "vfr.mp4", "-vf", "setpts=N*N/25/TB,select='lt(n,30)'", "-fps_mode", "passthrough", "-c:v", "libx264", "-bf", "0"
    )
    found = outcomes(path, sampling)
    assert [index for index, _ in found] == list(sampling.indices(30))


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_metadata_stands_upright(encode: Encode, tmp_path: Path, degrees: int) -> None:
    """Stored turned, marked as turned: a phone held upright."""
    turn = {90: "transpose=2", 180: "hflip,vflip", 270: "transpose=1"}[degrees]
    stored = encode("stored.mp4", "-vf", turn, "-c:v", "libx264")
    marked = tmp_path / "marked.mp4"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-display_rotation", str(-degrees), "-i", str(stored)]
    subprocess.run([*command, "-c", "copy", str(marked)], check=True, timeout=60, capture_output=True)
    assert not any(is_upright(image) for _, image in outcomes(stored))
    found = outcomes(marked)
    assert len(found) == 5
    for _, image in found:
        assert image.shape == (48, 64, 3) and is_upright(image)


def test_sound_alone_is_no_video(encode: Encode) -> None:
    for name, options in (("a.mp4", ("-c:a", "aac")), ("a.mkv", ("-c:a", "aac")), ("a.avi", ("-c:a", "pcm_s16le"))):
        found = outcomes(encode(name, *options, source=TONE))
        assert {reason for reason, _ in found} == {"corrupt"} and "no video stream" in found[0][1], name
    wave = encode("a.wav", source=TONE)
    wave.rename(wave.with_name("renamed.mp4"))
    assert {reason for reason, _ in outcomes(wave.with_name("renamed.mp4"))} == {"not_media"}


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert {reason for reason, _ in outcomes(tmp_path / "empty.mp4")} == {"empty_file"}


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.avi", "v.mov"])
@pytest.mark.parametrize("policy", [Sampling(count=5), Sampling(policy="ssdg"), Sampling(policy="every", count=6)])
def test_a_truncated_file(encode: Encode, name: str, policy: Sampling) -> None:
    path = encode(name, "-c:v", "mpeg4" if name == "v.avi" else "libx264")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    found = outcomes(path, policy)
    assert len(found) == policy.rows and {reason for reason, _ in found} == {"corrupt"}


@pytest.mark.parametrize("name", ["v.ts", "v.mpg", "v.mp4"])
def test_a_cut_stream_that_states_no_size_gives_what_is_left(encode: Encode, name: str) -> None:
    """Transport and programme streams, and fragments cut at a boundary: nothing tells that frames are missing."""
    options = ("-movflags", "frag_keyframe+empty_moov", "-g", "10") if name == "v.mp4" else ("-g", "10")
    path = encode(name, "-c:v", "mpeg2video" if name == "v.mpg" else "libx264", *options)
    data = path.read_bytes()
    cut = data.rindex(b"moof") - 4 if name == "v.mp4" else len(data) // 2
    path.write_bytes(data[:cut])
    found = outcomes(path)
    reasons = {one[0] for one in found if isinstance(one[0], str)}
    assert reasons <= {"corrupt", "video_too_short"}
    assert all(is_upright(one[1]) for one in found if isinstance(one[0], int))


def test_videos_under_wrong_names(encode: Encode, tmp_path: Path) -> None:
    path = encode("v.mkv", "-c:v", "libx264")
    data = path.read_bytes()
    (tmp_path / "v.mp4").write_bytes(data)
    assert [index for index, _ in outcomes(tmp_path / "v.mp4")] == [5, 15, 25, 35, 45], "another container's name does no harm"
    (tmp_path / "v.jpg").write_bytes(data)
    [(reason, detail)] = outcomes(tmp_path / "v.jpg")
    assert reason == "not_media" and "Matroska" in detail


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_what_has_no_decoder_is_said_to_have_none(encode: Encode, name: str) -> None:
    path = encode(name, "-c:v", "libaom-av1", "-cpu-used", "8", seconds=0.4)
    assert all(
        "AV1 video, which this build of OpenCV cannot decode; convert the file first" in str(one) for one in outcomes(path)
    )
