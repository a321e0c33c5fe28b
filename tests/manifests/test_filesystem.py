"""Stores on file systems that lack something, and among other people's things."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fasgen.errors import StoreError
from fasgen.manifests import atomic
from fasgen.manifests.atomic import fsync_file, leftovers, shortcomings, tmp_folder
from fasgen.manifests.lock import StoreLock
from fasgen.manifests.plan_file import sweep


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def link(*given: Any, **named: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    yield


def lacks_folder_flush(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_disk_that_can_everything_is_not_spoken_of(tmp_path: Path) -> None:
    assert shortcomings(tmp_path) == [] and not list(tmp_path.iterdir())


def test_without_hard_links_there_is_still_one_driver(tmp_path: Path, no_links: None) -> None:
    (said,) = shortcomings(tmp_path)
    assert "no hard links" in said
    with StoreLock(tmp_path) as lock:
        assert not lock.lost
        with pytest.raises(StoreError, match="another fasgen works on this store"), StoreLock(tmp_path):
            pass
    assert not list((tmp_path / "runs").iterdir())


def test_a_lock_that_is_empty_for_long_is_nobodys(tmp_path: Path, no_links: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fasgen.manifests.lock.SETTLE", 0.2)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "driver.lock").touch()
    with StoreLock(tmp_path, beat=0.05, stale=0.5, watch=0.3):
        pass


@pytest.mark.parametrize("code", sorted(atomic.LACKING))
def test_what_cannot_flush_folders_is_used_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    lacks_folder_flush(monkeypatch, code)
    fsync_file(tmp_path)
    (said,) = shortcomings(tmp_path)
    assert "cannot flush folders" in said


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_flush_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    lacks_folder_flush(monkeypatch, code)
    with pytest.raises(OSError, match=os.strerror(code)):
        fsync_file(tmp_path)


def test_a_file_that_cannot_be_flushed_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Invalid argument"):
        fsync_file(tmp_path / "file")


def test_a_store_among_other_things_takes_nothing_of_them(tmp_path: Path) -> None:
    others = [
        ".tmp-mine",
        ".tmp-notes.txt",
        "faces/.tmp-00000-17-abcd1234",
        "runs/.tmp-board",
        "runs/events.out",
        "model-final/.tmp-1",
    ]
    for name in others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("of somebody else")
    left = [
        tmp_folder(tmp_path, "gc"),
        tmp_folder(tmp_path / "align-0123abcd", "00000"),
        tmp_folder(tmp_path / "runs", "meeting"),
    ]
    assert leftovers(tmp_path / "runs") == [left[2]]
    with StoreLock(tmp_path):
        sweep(tmp_path)
    assert not any(path.exists() for path in left)
    assert all((tmp_path / name).read_text() == "of somebody else" for name in others)
