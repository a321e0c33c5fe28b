"""A disk that is full, broken or read-only: no commit is ever half true, and the same command goes on from there."""

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest
import toy

from fasgen.audit.verify import verify
from fasgen.errors import FasgenError, SourceError
from fasgen.manifests.ledger import Ledger, read_ledger
from fasgen.manifests.plan_file import latest, write_plan
from fasgen.manifests.unit import committed_units
from fasgen.pipeline.events import Key
from fasgen.pipeline.local_engine import LocalEngine
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.progress import Silent
from fasgen.pipeline.run import run
from fasgen.pipeline.schedule import Assign
from fasgen.pipeline.worker import Worker
from fasgen.sources.config import SourceConfig
from tests.disk import Disk, Fault, broken

from .test_crash import task_of, without

STAGE = "noisy"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> SourceConfig:
    return toy.make_source(tmp_path_factory.mktemp("faces") / "in", 6)


@pytest.fixture(scope="module")
def reference(source: SourceConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("reference")
    made = toy.plan(toy.configure(source), store)
    assert toy.go(made, LocalEngine(made.resources, depth=1))[0].outcome is Outcome.FINISHED
    return store


@pytest.mark.parametrize(
    ("fault", "code", "lasting"),
    [
        ("error", errno.ENOSPC, True),
        ("error", errno.EIO, False),
        ("error", errno.EACCES, True),
        ("error", errno.EROFS, True),
        ("torn", errno.EIO, False),
    ],
)
def test_no_commit_is_half_true(
    source: SourceConfig, reference: Path, tmp_path: Path, fault: Fault, code: int, lasting: bool
) -> None:
    wanted = toy.content(reference)
    whole = tmp_path / "whole"
    without(reference, STAGE, whole)
    worker, task = Worker(), task_of(source, whole, STAGE)
    with broken(Disk(whole, "count")) as counted:
        worker.run(task)
    refused = 0
    for at in range(1, counted.count + 1):
        store = tmp_path / str(at)
        without(reference, STAGE, store)
        task = task_of(source, store, STAGE)
        try:
            with broken(Disk(store, fault, at, code, lasting)):
                worker.run(task)
        except (FasgenError, OSError) as error:
            refused += 1
            assert os.strerror(code) in str(error), f"{counted.log[at - 1]}: {error}"
        where = f"{fault} {errno.errorcode[code]} at {at}, {counted.log[at - 1]}"
        found = [one for one in verify(store) if one.severity == "error" and "join-" not in one.where]
        assert not found, f"{where}: {found}"
        if not committed_units(task.folder):
            worker.run(task)
        assert toy.content(store) == wanted, where
        shutil.rmtree(store)
    assert refused > counted.count / 2


def test_short_writes_are_written_to_the_end(source: SourceConfig, reference: Path, tmp_path: Path) -> None:
    made = toy.plan(toy.configure(source), tmp_path)
    with broken(Disk(tmp_path, "short")), Ledger(tmp_path, "one") as ledger:
        result = run(made, lambda: LocalEngine(made.resources, depth=1), Silent(), ledger)
    assert result.outcome is Outcome.FINISHED
    assert toy.content(tmp_path) == toy.content(reference)
    assert read_ledger(tmp_path / "runs/one")[0]["event"] == "begin"
    assert read_ledger(tmp_path / "runs/one")[-1]["outcome"] == "finished"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fills_up_stops_the_run_and_the_next_one_goes_on(
    source: SourceConfig, reference: Path, tmp_path: Path, code: int
) -> None:
    with broken(Disk(tmp_path / "count", "count")) as counted:
        made = toy.plan(toy.configure(source), tmp_path / "count")
        toy.go(made, LocalEngine(made.resources, depth=1))
    for at in range(2, counted.count, counted.count // 10):
        store = tmp_path / str(at)
        made = toy.plan(toy.configure(source), store)
        try:
            with broken(Disk(store, "error", at, code, lasting=True)), Ledger(store, "one") as ledger:
                result = run(made, lambda made=made: LocalEngine(made.resources, depth=1), Silent(), ledger)
        except (FasgenError, OSError) as error:
            assert os.strerror(code) in str(error)
        else:
            # The last thing written is the history, which nothing depends on.
            assert result.outcome is Outcome.ERROR or result.remaining == 0, at
            assert result.outcome is not Outcome.ERROR or os.strerror(code) in result.error, result.error
        again = toy.plan(toy.configure(source), store)
        assert toy.go(again, LocalEngine(again.resources, depth=1))[0].outcome is Outcome.FINISHED
        assert toy.content(store) == toy.content(reference), f"at {at}"
        assert [one for one in verify(store) if one.severity == "error"] == []


def test_a_source_that_is_unmounted_in_the_middle_is_no_samples_fault(
    source: SourceConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(source.path, folder)
    made: Plan = toy.plan(toy.configure(source.model_copy(update={"path": folder})), tmp_path / "store", ["shrink"])
    made.write()
    seen = 0
    from fasgen.sources import decode

    real = decode.Decoder.read

    def read(self: decode.Decoder, row: decode.Wanted) -> object:
        nonlocal seen
        seen += 1
        if seen == 4:
            # What an unmounted disk leaves behind.
            shutil.rmtree(folder)
            folder.mkdir()
        return real(self, row)

    monkeypatch.setattr(decode.Decoder, "read", read)
    task = made.task(Assign(0, Key("shrink", 0)), tmp_path)
    with pytest.raises(SourceError, match="is not there any more, or empty"):
        Worker().run(task)
    assert committed_units(task.folder) == []


def test_a_clock_that_jumps_changes_no_byte(
    source: SourceConfig, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: real() + 86_400 * 365 * (-1) ** next(jumps))
    made = toy.plan(toy.configure(source), tmp_path)
    assert toy.go(made, LocalEngine(made.resources, depth=1))[0].outcome is Outcome.FINISHED
    assert toy.content(tmp_path) == toy.content(reference)


def test_the_generation_planned_last_is_the_newest_whatever_the_clock_says(tmp_path: Path) -> None:
    old, new = tmp_path / f"align-{'a' * 8}", tmp_path / f"align-{'0' * 8}"
    write_plan(old, {"stage": "align"})
    tomorrow = time.time() + 86_400
    os.utime(old / "plan.json", (tomorrow, tomorrow))
    write_plan(new, {"stage": "align"})
    assert [one.folder for one in latest(tmp_path)] == [new]
