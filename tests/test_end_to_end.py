"""The real stages with the embedded weights on real portraits, as a user runs them: same bytes whatever runs them.

Everything runs in its own process through the command line. A coarse grid keeps it quick; nothing else is made smaller.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.hostile import write_bad, write_odd

PORTRAITS = Path(__file__).parent.parent / "examples" / "portraits"
FIVE = ("barack_obama_2009.jpg", "charles_barkla.jpg", "eileen_collins.jpg", "grace_hopper_1984.jpg", "joe_biden_2010.jpg")
QUICK = (
    *("unit_rows=2", "defake.steps=5", "defake.batch=2", "identify.batch=2", "score.batch=2"),
    *("lgsc.enabled=true", "lgsc.batch=2", "stdn.enabled=true", "stdn.batch=2"),
)
SPOOFS = ("synth.variants=2", "synth.steps=4", "synth.batch=2", "screen.batch=2", "screen.on_fail=mark")
STAGES = ("align", "identify", "defake", "score", "lgsc", "stdn")
SYNTHETIC = ("synth", "synth_identify", "synth_defake", "synth_lgsc", "synth_stdn", "screen")


def command(source: Path, store: Path, *more: str) -> list[str]:
    settings = [f"sources={source}", "sources.0.label=live", *QUICK, *SPOOFS, "--store", str(store), "--gpus", "0"]
    return [sys.executable, "-m", "fasgen", "run", *settings, *more]


def run(source: Path, store: Path, *more: str, code: int = 0) -> str:
    done = subprocess.run(command(source, store, *more), capture_output=True, text=True, timeout=900)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def contents(store: Path) -> dict[str, str]:
    """Digest of every file that must not differ: all but the run's history and timings."""
    return {
        path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(store.rglob("*"))
        if path.is_file() and "runs" not in path.relative_to(store).parts and ".timing." not in path.name
        if path.name not in {"current.json", "believed.json"}
    }


def folder(store: Path, stage: str) -> Path:
    """The only generation of a stage."""
    (found,) = store.glob(f"{stage}-*")
    return found


def rows(store: Path, stage: str) -> list[dict[str, Any]]:
    files = sorted(p for p in folder(store, stage).glob("*.parquet") if ".timing." not in p.name and p.stem.isdigit())
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def write_good(path: Path, face: np.ndarray) -> None:
    """A good picture or film of the kind that ``path`` says it is."""
    bgr = np.ascontiguousarray(face[:, :, ::-1])
    if path.suffix != ".mp4":
        cv2.imwrite(str(path), bgr)
        return
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (face.shape[1], face.shape[0]))
    for _ in range(12):
        writer.write(bgr)
    writer.release()


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five of the portraits, half as large."""
    out = tmp_path_factory.mktemp("portraits")
    for name in FIVE:
        image = cv2.imread(str(PORTRAITS / name))
        cv2.imwrite(str(out / name), cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    return out


@pytest.fixture(scope="module")
def undisturbed(portraits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    out = run(portraits, store, "--engine", "local", "--cpus", "1")
    assert "contact sheet" in out and "shards" in out
    return store


def test_a_store_that_grew_has_the_same_rows_and_payloads(
    portraits: Path, undisturbed: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In another order, so that every row lies in another unit, at another place and in another slot of its batch."""
    here = tmp_path_factory.mktemp("grown")
    (here / "in").mkdir()
    places = {"unit", "row", "place", "guide_unit", "guide_row", "array_index", "frame_unit"}
    for names in (FIVE[:2:-1], FIVE[2::-1]):
        for name in names:
            shutil.copy2(portraits / name, here / "in" / name)
        out = run(here / "in", here / "store", f"sources.0.name={portraits.name}", "--engine", "local", "--cpus", "1")
    assert "3 new, 0 changed, 0 gone; 2 kept" in out

    def made(store: Path, stage: str) -> dict[tuple[str, int], dict[str, Any]]:
        return {
            (row["sample_id"], row["variant"]): {name: value for name, value in row.items() if name not in places}
            for row in rows(store, stage)
        }

    for stage in (*STAGES, *SYNTHETIC, "pack"):
        assert made(here / "store", stage) == made(undisturbed, stage), stage


def test_a_sample_has_the_same_bytes_in_every_slot(portraits: Path, undisturbed: Path) -> None:
    """A row's slot follows from its place, and its place from the order of growth: no network here may tell them apart."""
    import torch

    from fasgen import stages
    from fasgen.config import load
    from fasgen.pipeline.calling import call
    from fasgen.pipeline.events import Key
    from fasgen.pipeline.loading import open_input
    from fasgen.pipeline.plan import build_plan
    from fasgen.pipeline.resources import Resources
    from fasgen.pipeline.schedule import Assign
    from fasgen.stages.stage import Product, Sample

    settings = [f"sources={portraits}", "sources.0.label=live", *QUICK, *SPOOFS, f"store={undisturbed}"]
    plan = build_plan(load(None, settings), ["all"], undisturbed, resources=Resources(0, 1), targets=stages.STAGES)
    assert plan.todo == plan.unsure == 0
    for stage in plan.wanted:
        if not hasattr(stage.config, "batch"):
            continue
        unit = open_input(plan.task(Assign(0, Key(stage.name, 0)), undisturbed), stage.spec)
        sample = unit.load(0).sample
        unit.close()
        assert isinstance(sample, Sample)
        batch = {"defake": 6, "synth": 6, "synth_defake": 6}.get(stage.name, 16)
        made = stage.spec.build(stage.config.model_copy(update={"batch": batch}), torch.device("cpu"))
        found = set()
        for slot in sorted({0, 1, batch // 2, batch - 1}):
            (product,) = call(made, stage.spec, [replace(sample, slot=slot)])
            assert isinstance(product, Product)
            parts = [(name, array.tobytes()) for name, array in sorted({**product.images, **product.arrays}.items())]
            found.add(repr((parts, sorted(product.values.items()))))
        assert len(found) == 1, stage.name


def test_every_row_of_every_stage_is_ok(undisturbed: Path) -> None:
    for stage in STAGES:
        table = rows(undisturbed, stage)
        assert len(table) == len(FIVE) and {row["status"] for row in table} == {"ok"}, stage
    for stage in SYNTHETIC:
        table = rows(undisturbed, stage)
        assert len(table) == 2 * len(FIVE) and {row["status"] for row in table} == {"ok"}, stage
        assert {row["variant"] for row in table} == {1, 2} and {row["label"] for row in table} == {"spoof"}
    assert all(0 < row["lgsc_score"] < 1 for stage in ("lgsc", "synth_lgsc") for row in rows(undisturbed, stage))
    packed = rows(undisturbed, "pack")
    assert all(row["cues"] == ["residual", "lgsc", "stdn"] for row in packed)
    assert len(packed) == 3 * len(FIVE) and sum(row["synthetic"] for row in packed) == 2 * len(FIVE)
    parents = {row["sample_id"] for row in rows(undisturbed, "align")}
    assert all(set(row["parent_ids"]) <= parents and len(set(row["parent_ids"])) == 2 for row in rows(undisturbed, "synth"))
    assert (folder(undisturbed, "pack") / "index.json").is_file() and (folder(undisturbed, "pack") / "README.md").is_file()


def test_ray_with_two_workers_writes_the_same_bytes(portraits: Path, undisturbed: Path, tmp_path: Path) -> None:
    run(portraits, tmp_path / "store", "--engine", "ray", "--cpus", "2")
    assert contents(tmp_path / "store") == contents(undisturbed)


def test_killed_and_resumed_writes_the_same_bytes(portraits: Path, undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    driver = subprocess.Popen(
        command(portraits, store, "--engine", "local", "--cpus", "2"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600
    while not list(store.glob("identify-*/00000.parquet")):
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.wait()
    assert not list(store.glob("pack-*/index.json")), "the kill came too late to test anything"
    run(portraits, store, "--engine", "local", "--cpus", "1")
    assert contents(store) == contents(undisturbed)


def test_changed_strength_recomputes_what_follows_and_nothing_before(
    portraits: Path, undisturbed: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(undisturbed, store)
    before = contents(store)
    run(portraits, store, "--engine", "local", "--cpus", "1", "defake.t=400")
    after = contents(store)
    assert {name: digest for name, digest in after.items() if name in before} == before
    made = {name.removeprefix("spare/").split("/")[0].rsplit("-", 1)[0] for name in after.keys() - before.keys()}
    assert made == {"defake", "score", "synth_defake", "screen", "pack"}


def test_other_spoofs_leave_the_photographs_alone(portraits: Path, undisturbed: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(undisturbed, store)
    before = contents(store)
    out = run(portraits, store, "--engine", "local", "--cpus", "1", "synth.method=physical")
    after = contents(store)
    assert {name: digest for name, digest in after.items() if name in before} == before and "contact sheet" in out
    made = {name.removeprefix("spare/").split("/")[0].rsplit("-", 1)[0] for name in after.keys() - before.keys()}
    assert made == {*SYNTHETIC, "pack"}
    (simulated,) = (one for one in store.glob("synth-*") if one.name != folder(undisturbed, "synth").name)
    assert {row["method"] for row in pq.read_table(simulated / "00000.parquet").to_pylist()} == {"physical"}


def test_bad_input_is_rows_with_reasons_and_leaves_the_others_alone(portraits: Path, tmp_path: Path) -> None:
    hostile, control = tmp_path / "bad" / "photos", tmp_path / "good" / "photos"
    face = cv2.imread(str(portraits / "eileen_collins.jpg"))[:, :, ::-1].copy()
    for source in (hostile, control):
        shutil.copytree(portraits, source)
    odd = write_odd(hostile, face)
    write_odd(control, face)
    expected = write_bad(hostile, face)
    # The control has a good picture wherever the other has a bad file, so that every row is the same row.
    for name in expected:
        write_good(control / name, face)
    settings = ("--engine", "local", "--cpus", "1", "stage=align,identify", "unit_rows=16", "budget.max_failed_rate=1")
    run(hostile, tmp_path / "a", *settings)
    run(control, tmp_path / "b", *settings)
    table = rows(tmp_path / "a", "align")
    reasons = {row["path"]: row["reason"] for row in table if row["status"] != "ok"}
    assert reasons == expected
    assert all(row["detail"] for row in table if row["status"] != "ok")
    good = {row["sample_id"]: row["payload_digest"] for row in table if row["status"] == "ok"}
    assert len(good) == len(FIVE) + len(odd)
    assert good.items() <= {row["sample_id"]: row["payload_digest"] for row in rows(tmp_path / "b", "align")}.items()
    maps = {row["sample_id"]: row["payload_digest"] for row in rows(tmp_path / "a", "identify")}
    assert maps.keys() == good.keys()
    assert maps.items() <= {row["sample_id"]: row["payload_digest"] for row in rows(tmp_path / "b", "identify")}.items()


def test_all_orientations_give_the_same_upright_crop(portraits: Path, tmp_path: Path) -> None:
    source = tmp_path / "turned"
    source.mkdir()
    write_odd(source, cv2.imread(str(portraits / "eileen_collins.jpg"))[:, :, ::-1].copy())
    for path in source.iterdir():
        if not path.name.startswith("turned"):
            path.unlink()
    run(source, tmp_path / "store", "--engine", "local", "--cpus", "1", "stage=align", "unit_rows=16")
    boxes = np.array([row["box"] for row in rows(tmp_path / "store", "align")])
    assert boxes.shape == (8, 4) and np.abs(boxes - boxes[0]).max() < 3
