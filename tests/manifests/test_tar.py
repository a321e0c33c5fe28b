"""The tar writer gives the bytes that tarfile gives, and the reader finds what was written."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.errors import StoreError
from fasgen.manifests.tar import TarReader, TarWriter, copy_members, header

LETTERS = st.characters(exclude_characters="\0/", exclude_categories=("Cs",)) | st.characters(
    min_codepoint=0xDC80, max_codepoint=0xDCFF
)
NAMES = st.text(LETTERS, min_size=1, max_size=24)
"""Member names of any letters, escaped undecodable bytes among them."""


def by_tarfile(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), 0o444, 0
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def write(path: Path, members: dict[str, bytes]) -> str:
    writer = TarWriter(path)
    for name, data in members.items():
        writer.add(name, data)
    return writer.close()


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, st.binary(max_size=1500), max_size=8))
def test_bytes_equal_those_of_tarfile(tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes]) -> None:
    path = tmp_path_factory.mktemp("tar") / "a.tar"
    digest = write(path, members)
    assert path.read_bytes() == by_tarfile(members)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    with TarReader(path) as reader:
        assert {name: reader.read(name) for name in reader.members} == members


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 8192, 9216, 10240])
def test_sizes_around_blocks_and_records(tmp_path: Path, size: int) -> None:
    members = {"a.bin": bytes(size), "b.bin": b"x"}
    write(tmp_path / "a.tar", members)
    assert (tmp_path / "a.tar").read_bytes() == by_tarfile(members)


@pytest.mark.parametrize(
    "name", ["n" * 100, "d/" + "n" * 100, "p" * 155 + "/" + "n" * 100, "a/" * 70 + "n" * 30, "ü" * 40 + "/" + "y" * 80]
)
def test_long_names_are_split_as_tarfile_splits_them(name: str) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = 7, 0o444
    assert header(name, 7) == info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")


@pytest.mark.parametrize("name", ["", "a\0b", "n" * 101, "p" * 156 + "/n", "p" * 156 + "/" + "n" * 100])
def test_names_that_do_not_fit_are_refused(name: str) -> None:
    with pytest.raises(StoreError, match="tar member name"):
        header(name, 1)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(StoreError, match="ustar holds at most"):
        header("a", 8**11)


def test_the_system_tar_reads_it(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", {"0.png": b"abc", "0.json": b"{}"})
    listed = subprocess.run(["tar", "tf", tmp_path / "a.tar"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == ["0.png", "0.json"]


def test_a_second_member_of_a_name_is_refused(tmp_path: Path) -> None:
    writer = TarWriter(tmp_path / "a.tar")
    writer.add("a", b"")
    with pytest.raises(StoreError, match="two members are called 'a'"):
        writer.add("a", b"")
    writer.abort()


def test_copy_reorders(tmp_path: Path) -> None:
    write(tmp_path / "a.tar", {"a": b"1" * 600, "b": b"2"})
    with TarReader(tmp_path / "a.tar") as reader:
        members = list(reader.members.values())
    copy_members(tmp_path / "a.tar", tmp_path / "b.tar", members[::-1])
    assert (tmp_path / "b.tar").read_bytes() == by_tarfile({"b": b"2", "a": b"1" * 600})


@pytest.mark.parametrize("keep", [0, 100, 512, 700, 1536])
def test_a_cut_file_is_refused(tmp_path: Path, keep: int) -> None:
    write(tmp_path / "a.tar", {"a": b"1" * 600, "b": b"2"})
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:keep])
    with pytest.raises(StoreError, match=r"a\.tar"):
        TarReader(tmp_path / "a.tar")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        TarReader(tmp_path / "none.tar")
    write(tmp_path / "a.tar", {"a": b""})
    with TarReader(tmp_path / "a.tar") as reader, pytest.raises(StoreError, match="no member 'b'"):
        reader.read("b")
