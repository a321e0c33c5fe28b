"""A store among other things (``store: .``): whatever is done to it, nothing of others is lost."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import toy
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.audit.garbage import remove, unneeded
from fasgen.audit.own_files import own_files
from fasgen.audit.retract import retract, which
from fasgen.audit.verify import verify
from fasgen.cli import main
from fasgen.errors import StoreError
from fasgen.pipeline.options import RunOptions
from fasgen.pipeline.outcome import Outcome
from fasgen.pipeline.schedule import Budget
from fasgen.sources.config import SourceConfig

PLACES = (
    "thesis.tex", "me.png", "photos-20261127/a.png", "notes-deadbeef/00000.parquet", ".tmp-mine",
    "rows/mine.txt", "rows/8/mine.txt", "runs/mine.txt", "runs/old-run/mine.txt", "added/mine.txt", "sources/mine.txt",
    "sources/holiday/a.png", "sources/.hidden/x", "retracted/mine.txt", "align/a.png", "seen/mine.txt", "00000.tar", ".git/x",
    "{generation}/mine.txt", "report.html", "REPORT.md", "duplicates.json", "quality.json", "protocols/mine.csv",
    "protocols/mine/train.parquet", "protocols/mine/report.json", "identities/mine.json", "runs/old-run/plot.png",
)  # fmt: skip
"""Where others may have put something."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[SourceConfig, Path]:
    folder = tmp_path_factory.mktemp("base")
    source = toy.make_source(folder / "in", 6)
    made = toy.plan(toy.configure(source), folder / "store")
    assert toy.go(made, toy.engines(made))[0].outcome is Outcome.FINISHED
    return source, folder / "store"


@settings(max_examples=2)
@given(st.sets(st.sampled_from(PLACES), min_size=5))
def test_nothing_of_others_is_lost(base: tuple[SourceConfig, Path], chosen: set[str]) -> None:
    source, made = base
    with TemporaryDirectory() as scratch:
        store = Path(scratch) / "store"
        shutil.copytree(made, store)
        (first,) = store.glob("noisy-????????")
        foreign = [store / name.format(generation=first.name) for name in sorted(chosen)] + [store.parent / "beside-12345678/x"]
        for path in foreign:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"of somebody else: {path.name}")

        def run(failing: bool = False, **changes: Any) -> None:
            plan = toy.plan(toy.configure(source, **changes), store)
            toy.go(plan, toy.engines(plan), RunOptions(budget=Budget(0)) if failing else None)

        run(noisy=toy.NoisyConfig(strength=4.0))
        run(shrink=toy.ShrinkConfig(factor=4), failing=True)
        verify(store)
        garbage = unneeded(store)
        assert {one.folder.name.partition("-")[0] for one in garbage} <= {"shrink", "noisy", "join"} and garbage
        if "{generation}/mine.txt" in chosen:
            with pytest.raises(StoreError, match="is none of fasgen's files"):
                remove(store, garbage)
            garbage = [one for one in garbage if one.folder != first]
        remove(store, garbage)
        retract(store, which(store, "toys/000.png", [source]))
        for command in (["status"], ["report"], ["gc", "--delete"], ["show", "status = 'ok'"], ["duplicates"]):
            CliRunner().invoke(main, [*command, "--store", str(store)])
        assert all(path.read_text() == f"of somebody else: {path.name}" for path in foreign)


def test_no_run_begins_over_a_file_of_others_that_says_what_is_current(base: tuple[SourceConfig, Path], tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text("of somebody else")
    with pytest.raises(StoreError, match=r"current\.json"):
        toy.plan(toy.configure(base[0]), tmp_path)
    assert (tmp_path / "current.json").read_text() == "of somebody else"


def test_a_report_is_written_over_one_of_fasgens_alone(base: tuple[SourceConfig, Path], tmp_path: Path) -> None:
    shutil.copytree(base[1], tmp_path / "store")
    report = ["report", str(tmp_path / "store")]
    assert [CliRunner().invoke(main, report).exit_code for _ in range(2)] == [0, 0]
    for name in ("report.html", "REPORT.md"):
        ours = (tmp_path / "store" / name).read_bytes()
        (tmp_path / "store" / name).write_text("of somebody else")
        told = CliRunner().invoke(main, report)
        assert told.exit_code == 2 and f"{name}: is there, and fasgen has not written it" in told.output
        assert (tmp_path / "store" / name).read_text() == "of somebody else"
        (tmp_path / "store" / name).write_bytes(ours)
    assert {path.name for path in own_files(tmp_path / "store")} == {"report.html", "REPORT.md"}


def test_a_folder_of_pictures_is_not_taken_for_a_listing(base: tuple[SourceConfig, Path], tmp_path: Path) -> None:
    shutil.copytree(str(base[0].path), tmp_path / "sources" / "toys")
    before = sorted(tmp_path.rglob("*"))
    plan = toy.plan(toy.configure(base[0].model_copy(update={"path": tmp_path / "sources" / "toys"})), tmp_path)
    with pytest.raises(StoreError, match="set store to another folder, or give the source another name"):
        toy.go(plan, toy.engines(plan))
    assert set(before) <= set(tmp_path.rglob("*"))
