from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.sources.paths import escape, sample_id, unescape

names = st.binary(min_size=1, max_size=40).filter(lambda raw: b"\0" not in raw)


@settings(derandomize=True)
@given(names)
def test_every_name_survives(raw: bytes) -> None:
    text = escape(os.fsdecode(raw))
    assert os.fsencode(unescape(text)) == raw
    text.encode("utf-8")
    assert "\n" not in text and all(ord(character) >= 32 for character in text)


@settings(derandomize=True)
@given(names, names)
def test_different_names_stay_different(one: bytes, other: bytes) -> None:
    assert (escape(os.fsdecode(one)) == escape(os.fsdecode(other))) == (one == other)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'a b/it\'s "q".jpg', 'a b/it\'s "q".jpg'),
        ("Übung/顔.png".encode(), "Übung/顔.png"),
        (b"line\nbreak", r"line\x0abreak"),
        (b"\xff\xfe", r"\xff\xfe"),
        (rb"\x41", r"\x5cx41"),
    ],
)
def test_how_names_are_written(raw: bytes, text: str) -> None:
    assert escape(os.fsdecode(raw)) == text


@pytest.mark.parametrize("text", ["\\", r"\n", r"\xF0", r"\x4"])
def test_what_is_no_escaped_path(text: str) -> None:
    with pytest.raises(ValueError, match="backslash"):
        unescape(text)


def test_sample_id_is_pinned() -> None:
    # sha256("msu\x1fa.jpg\x1f") and sha256("msu\x1fa.mp4\x1f3"): ids in finished stores must never change.
    assert sample_id("msu", "a.jpg", None) == "cc66a08f6e6e7d0d"
    assert sample_id("msu", "a.mp4", 3) == "a200ce5f8c74aea9"
