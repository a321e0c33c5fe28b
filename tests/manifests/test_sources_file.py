"""Listings come back as they were, whatever the files are called."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.audit.retract import retract, who
from fasgen.errors import StoreError
from fasgen.manifests import sources_file
from fasgen.manifests.sources_file import damaged_files, read_left_out, read_sources, source_names, write_sources
from fasgen.manifests.sources_rows import COLUMNS, FileRows

from .units import tree

ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "sample_id": st.text("0123456789abcdef", min_size=16, max_size=16),
            "path": st.text(max_size=20),
            "size": st.integers(0, 2**40),
        },
        optional={"frame_k": st.none() | st.integers(0, 99), "subject": st.none() | st.text(max_size=5)},
    ),
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@given(rows=ROWS)
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> None:
    store = tmp_path_factory.mktemp("store")
    digest = write_sources(store, "a.b", rows)
    whole = [{column.name: row.get(column.name) for column in COLUMNS} for row in rows]
    assert read_sources(store, "a.b").to_pylist() == whole
    before = tree(store)
    assert write_sources(store, "a.b", whole) == digest
    assert tree(store) == before
    assert damaged_files(store, "a.b") == []
    assert write_sources(store, "a.b", [*rows, {"path": "one more"}]) != digest
    assert source_names(store) == ["a.b"]


def test_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"path": str(number)} for number in range(7)]
    whole = write_sources(tmp_path / "a", "s", rows)
    monkeypatch.setattr(sources_file, "_PART", 3)
    assert write_sources(tmp_path / "b", "s", rows) == whole
    assert [path.name for path in sorted((tmp_path / "b/sources/s").glob("*.parquet"))] == [
        f"0000{n}.parquet" for n in range(3)
    ]
    assert read_sources(tmp_path / "b", "s").equals(read_sources(tmp_path / "a", "s"))


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden"])
def test_names_that_are_no_folders_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="cannot be a folder's name"):
        write_sources(tmp_path, name, [])


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="row 1: unknown columns colour"):
        write_sources(tmp_path, "s", [{"path": "a"}, {"colour": "red"}])
    with pytest.raises(StoreError, match="column 'size' is int64"):
        write_sources(tmp_path, "s", [{"size": "big"}])
    with pytest.raises(StoreError, match="no listing of source 's'"):
        read_sources(tmp_path, "s")


def test_taking_somebody_out_keeps_what_nobody_knows(tmp_path: Path) -> None:
    rows = [{"sample_id": f"{n:016x}", "dataset": "s", "path": f"{n}.png", "subject": f"s/{n % 2}"} for n in range(4)]
    write_sources(tmp_path, "s", rows, {"odd.png": "no pattern matches it"})
    retract(tmp_path, who(tmp_path, "s/1"))
    assert read_left_out(tmp_path, "s") == {"odd.png": "no pattern matches it"}
    assert read_sources(tmp_path, "s")["path"].to_pylist() == ["0.png", None, "2.png", None]
    assert damaged_files(tmp_path, "s") == []


@pytest.mark.parametrize("part", [1, 3, 4, 100])
def test_rows_by_file_are_cut_at_any_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    """A video whose rows lie in two parquet files, and the same bytes as row by row."""
    alike = {"dataset": "s", "kind": "video", "frame_n": 3}
    files = [FileRows(alike, f"{n}.mp4", n, None, [f"{n}{k}" for k in range(3)], range(3)) for n in range(3)]
    rows = [
        alike | {"path": one.path, "size": one.size, "sample_id": sample, "frame_k": k}
        for one in files
        for k, sample in enumerate(one.sample_ids)
    ]
    monkeypatch.setattr(sources_file, "_PART", part)
    assert write_sources(tmp_path / "a", "s", files) == write_sources(tmp_path / "b", "s", iter(rows))
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert len(list((tmp_path / "a/sources/s").glob("*.parquet"))) == -(-9 // part)
