"""Boxes and eyes of the right frame, in the picture's pixels; damage is no fault of the picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.sources.config import SourceConfig
from fasgen.sources.decode import Decoder
from fasgen.sources.marks import read_marks
from fasgen.sources.scan import scan

from .adapters.miniatures import celeba_spoof, oulu_npu

Read = Callable[..., dict[str, object]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def make(text: str, spelt: str, frame: int | None = None, size: tuple[int, int] = (100, 50)) -> dict[str, object]:
        (tmp_path / "marks.txt").write_text(text)
        return dict(read_marks(str(tmp_path), "marks.txt", spelt, frame, size))

    return make


def test_the_frame_is_named_or_counted(read: Read) -> None:
    assert read("0 1 2 3 4\n7 5 6 10 20\n", "frame x y w h", 7) == {"shipped_box": [5, 6, 15, 26]}
    assert read("0 1 2 3 4\n", "frame x y w h", 1) == {}
    assert read("1 2 3 4\n5 6 15 26\n", "x y right bottom", 1) == {"shipped_box": [5, 6, 15, 26]}
    assert read("# head\nx y\n3,1,2,9,8\n", "frame left_eye_x left_eye_y right_eye_x right_eye_y", 3) == {
        "shipped_eyes": [1, 2, 9, 8]
    }


def test_a_grid_is_scaled_and_may_be_left(read: Read) -> None:
    assert read("-28 56 112 112 0.9\n", "x y w h _ @224", None, (448, 112)) == {"shipped_box": [-56, 28, 168, 84]}


@pytest.mark.parametrize("text", ["", "\n", "0 0 0 0", "1 2 3", "a b c d", "nan 1 2 3", "5 5 -3 4", "1 1 1e9 4", "\0\0\0"])
def test_what_is_no_box_is_none(read: Read, text: str) -> None:
    assert read(text, "x y w h") == {}


@given(text=st.text(max_size=60), frame=st.none() | st.integers(0, 3))
def test_whatever_the_file_holds_nothing_is_raised(
    tmp_path_factory: pytest.TempPathFactory, text: str, frame: int | None
) -> None:
    root = tmp_path_factory.getbasetemp()
    (root / "any.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    read_marks(str(root), "any.txt", "frame x y w h left_eye_x left_eye_y right_eye_x right_eye_y", frame, (9, 9))
    assert read_marks(str(root), "gone.txt", "x y w h", frame, (9, 9)) == {}


def test_decoding_finds_the_marks_of_its_frame(tmp_path: Path) -> None:
    oulu_npu.make(tmp_path / "o")
    rows = [row for row in scan(SourceConfig(name="o", path=tmp_path / "o", adapter="oulu-npu", frames=3)) if row.marks]
    decoder = Decoder(tmp_path / "o")
    values = [decoder.read(row)[1] for row in rows]
    assert [one.get("shipped_eyes") for one in values] == [[10, 11, 20, 12], None, [12, 13, 22, 14]]
    celeba_spoof.make(tmp_path / "c")
    (row,) = [row for row in scan(SourceConfig(name="c", path=tmp_path / "c", adapter="celeba-spoof")) if row.marks]
    assert Decoder(tmp_path / "c").read(row)[1]["shipped_box"] == [-8, 50, 112, 90]
