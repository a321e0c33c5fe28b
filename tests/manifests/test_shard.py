"""A unit is written whole or not at all, the same bytes for the same rows, and comes back bit for bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.audit.verify import verify
from fasgen.errors import StoreError
from fasgen.manifests import atomic
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.unit import committed_units, discard, unit_summary
from fasgen.manifests.unit_reader import UnitReader
from fasgen.records import Reason, Status

from .units import ARRAYS, COLUMNS, cue, image, plan_hash, row, tree, write_stage, write_unit


def writer(folder: Path, unit: int = 0, plan: str = "p") -> UnitWriter:
    return UnitWriter(folder, unit, columns=COLUMNS, arrays=ARRAYS, plan_hash=plan, weights="")


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    summary = write_unit(tmp_path, unit=3)
    assert (summary.planned, summary.ok, summary.filtered, summary.failed) == (6, 5, 1, 0)
    assert summary.reasons == {"no_face": 1}
    assert unit_summary(tmp_path, 3) == summary
    assert committed_units(tmp_path) == [3]
    assert summary.bytes == sum(len(data) for name, data in tree(tmp_path).items() if ".tar" in name or ".zarr" in name)
    with UnitReader(tmp_path, 3) as reader:
        assert [each["row"] for each in reader.rows] == list(range(6))
        for number in (0, 1, 3, 4, 5):
            assert np.array_equal(reader.image(number, "crop"), image(number))
            assert reader.array(number, "cue").tobytes() == cue(number).tobytes()
            assert reader.file(number, "json") == b'{"row": %d}' % number
        first = reader.rows[4]
        assert first["path"] == 'a folder/it\'s "4"\n\\xff.jpg'
        assert first["brisque"] == 40.0
        assert first["box"] == [0.5, 1.0, 2.0, 3.0]
        assert first["seed"] == 4 * 2**40 + 5
        assert first["array_index"] == 3
        assert first["member"] == "0000000000000004.crop.png"
        assert reader.rows[2]["detail"] == "no face above 0.9 in 'a\\udcff.jpg'"
        assert reader.rows[2]["status"] == "filtered"


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    write_unit(tmp_path)
    with UnitReader(tmp_path, 0) as reader:
        for call, message in (
            (lambda: reader.image(2, "crop"), r"has no product \(filtered: no_face\)"),
            (lambda: reader.image(9, "crop"), "row 9, variant 0 is not in it"),
            (lambda: reader.image(1, "mask"), "no member '0000000000000001.mask.png'"),
            (lambda: reader.array(1, "depth"), "no array 'depth', only cue, embedding"),
            (lambda: reader.array(1, "embedding"), "has no 'embedding'"),
        ):
            with pytest.raises(StoreError, match=message):
                call()
    with pytest.raises(StoreError, match="unit 1 is not committed"):
        UnitReader(tmp_path, 1)


def test_any_order_of_calls_gives_the_same_bytes(tmp_path: Path) -> None:
    write_unit(tmp_path / "a")
    write_unit(tmp_path / "b", order=[5, 2, 0, 4, 3, 1])
    write_unit(tmp_path / "c")
    assert tree(tmp_path / "a") == tree(tmp_path / "b") == tree(tmp_path / "c")


def test_other_tools_read_it(tmp_path: Path) -> None:
    import pyarrow.parquet as pq
    import zarr

    write_unit(tmp_path)
    done = subprocess.run(["sha256sum", "--check", "--quiet", "00000.sha256"], cwd=tmp_path, check=False)
    assert done.returncode == 0
    group = zarr.open_group(tmp_path / "00000.zarr", mode="r")
    assert np.array_equal(group["cue"][4], cue(5))
    schema = pq.read_schema(tmp_path / "00000.parquet")
    assert schema.field("brisque").metadata == {b"doc": b"BRISQUE score", b"unit": b"[0, 100]"}
    assert pq.read_table(tmp_path / "00000.timing.parquet").to_pylist() == [{"unit": 0, "name": "compute_s", "value": 0.5}]


PAYLOADS = st.fixed_dictionaries(
    {"image": st.booleans(), "cue": st.booleans(), "json": st.none() | st.binary(max_size=40), "detail": st.text(max_size=30)}
)


@settings(max_examples=20, deadline=None)
@given(
    rows=st.dictionaries(
        st.tuples(st.integers(0, 500), st.integers(0, 2)),
        st.tuples(st.none() | st.sampled_from(list(Reason)), PAYLOADS),
        max_size=8,
    ),
    planned=st.none() | st.integers(0, 10),
)
def test_any_rows_conserve(tmp_path_factory: pytest.TempPathFactory, rows: dict, planned: int | None) -> None:
    store = tmp_path_factory.mktemp("store")
    folder = write_stage(store, "toy")
    discard(folder, 0)
    with writer(folder, plan=plan_hash("toy")) as unit:
        for (number, variant), (reason, payload) in rows.items():
            if reason:
                unit.reject(row(number, variant=variant), reason, payload["detail"])
            else:
                unit.ok(
                    row(number, variant=variant),
                    images={"crop": image(number)} if payload["image"] else {},
                    arrays={"cue": cue(number + variant)} if payload["cue"] else {},
                    files={} if payload["json"] is None else {"json": payload["json"]},
                )
        if planned is not None and planned != len(rows):
            with pytest.raises(StoreError, match="rows were planned"):
                unit.commit(planned)
            assert committed_units(folder) == [] and atomic.leftovers(folder) == []
            return
        summary = unit.commit(len(rows))
    counts = Counter((reason.status if reason else Status.OK) for reason, _ in rows.values())
    assert summary.planned == len(rows) == summary.ok + summary.filtered + summary.failed
    assert (summary.ok, summary.filtered, summary.failed) == tuple(counts[status] for status in Status)
    assert sum(summary.reasons.values()) == summary.filtered + summary.failed
    with UnitReader(folder, 0) as reader:
        assert [(each["row"], each["variant"]) for each in reader.rows] == sorted(rows)
        for (number, variant), (reason, payload) in rows.items():
            if reason is None and payload["image"]:
                assert np.array_equal(reader.image(number, "crop", variant), image(number))
            if reason is None and payload["cue"]:
                assert np.array_equal(reader.array(number, "cue", variant), cue(number + variant))
            if reason is None and payload["json"] is not None:
                assert reader.file(number, "json", variant) == payload["json"]
    assert verify(store) == []


def test_a_row_cannot_be_written_twice(tmp_path: Path) -> None:
    with writer(tmp_path) as unit:
        unit.reject(row(1), Reason.NO_FACE, "")
        with pytest.raises(StoreError, match="row 1, variant 0 of unit 0 was written before"):
            unit.ok(row(1))
        with pytest.raises(StoreError, match="was written before"):
            unit.ok(Row(row(1).sample_id, 2, seed=0))


@pytest.mark.parametrize(
    ("product", "message"),
    [
        ({"values": {"brisk": 1.0}}, "column 'brisk', which it does not declare"),
        ({"values": {"brisque": "high"}}, "column 'brisque' is float64, but the stage gave 'high'"),
        ({"values": {"box": [1.0, None]}}, "column 'box' is list<float32>"),
        ({"values": {"kept": 1}}, "column 'kept' is bool"),
        ({"arrays": {"depth": np.zeros(2, np.int16)}}, "array 'depth', which it does not declare"),
        ({"arrays": {"cue": np.zeros(2, np.int32)}}, "is int32, its stage declares int16"),
        ({"images": {"crop": np.zeros((4, 4), np.uint8)}}, "must be H x W x 3 uint8"),
        ({"images": {"crop": image(0)}, "files": {"crop.png": b""}}, "two members"),
        ({"files": {"x" * 90: b""}}, "too long for ustar"),
    ],
)
def test_a_product_that_does_not_fit_can_still_be_rejected(tmp_path: Path, product: dict, message: str) -> None:
    with writer(tmp_path / "a") as unit:
        unit.ok(row(0), images={"crop": image(0)}, arrays={"cue": cue(0)})
        with pytest.raises(StoreError, match=message):
            unit.ok(row(1), **product)
        unit.reject(row(1), Reason.STAGE_ERROR, "does not fit")
        unit.commit(2)
    with writer(tmp_path / "b") as unit:
        unit.ok(row(0), images={"crop": image(0)}, arrays={"cue": cue(0)})
        unit.reject(row(1), Reason.STAGE_ERROR, "does not fit")
        unit.commit(2)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.parametrize("sample_id", ["", "a.b", "a/b", "..", "a\0"])
def test_ids_that_cannot_name_members_are_refused(tmp_path: Path, sample_id: str) -> None:
    with writer(tmp_path) as unit, pytest.raises(StoreError, match="sample id"):
        unit.ok(Row(sample_id, 0, seed=0))


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), writer(tmp_path) as unit:
        unit.ok(row(0), images={"crop": image(0)})
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from fasgen.manifests import atomic
from tests.manifests.units import write_unit

steps, real = 0, atomic.replace
def replace(source, target, trash):
    global steps
    if steps == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
    steps += 1
    real(source, target, trash)
atomic.replace = replace
write_unit(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("step", [0, 1, 2, 3, 4])
def test_a_killed_writer_leaves_nothing_committed(tmp_path: Path, step: int) -> None:
    """Killed before each of the five renames, the manifest's last."""
    folder = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", KILLED, folder, str(step)], env={**os.environ, "PYTHONPATH": "."}, check=False)
    assert done.returncode == -signal.SIGKILL
    assert committed_units(folder) == []
    assert len(atomic.leftovers(folder)) == 1
    write_unit(folder)
    assert atomic.clean(folder, "00000") == 1
    write_unit(tmp_path / "clean")
    assert tree(folder) == tree(tmp_path / "clean")
    assert atomic.leftovers(folder) == []


def test_committing_twice_is_harmless_if_the_bytes_agree(tmp_path: Path) -> None:
    write_unit(tmp_path)
    before = tree(tmp_path)
    write_unit(tmp_path)
    assert tree(tmp_path) == before
    with pytest.raises(StoreError, match="committed already, with other content"):
        write_unit(tmp_path, order=range(5))
    assert tree(tmp_path) == before


def test_a_writer_that_was_taken_for_dead_cannot_commit(tmp_path: Path) -> None:
    slow = writer(tmp_path)
    # What the run does before it gives the unit out again.
    assert atomic.clean(tmp_path, "00000") == 1
    quick = writer(tmp_path)
    for unit in (slow, quick):
        unit.reject(row(0), Reason.NO_FACE, "")
    with pytest.raises(StoreError, match="another writer took it over"):
        slow.commit(1)
    quick.commit(1)
    assert committed_units(tmp_path) == [0]


def test_units_side_by_side_do_not_meet(tmp_path: Path) -> None:
    threads = [threading.Thread(target=write_unit, args=(tmp_path, range(6), unit)) for unit in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert committed_units(tmp_path) == [0, 1, 2, 3]
    write_unit(tmp_path / "alone", unit=2)
    together = {name: data for name, data in tree(tmp_path).items() if name.startswith("00002")}
    assert together == tree(tmp_path / "alone")


def test_a_unit_of_rejects_has_no_payload(tmp_path: Path) -> None:
    with writer(tmp_path) as unit:
        unit.reject(row(0), Reason.NO_FACE, "d" * 5000)
        assert unit.commit(1).bytes == 0
    assert sorted(tree(tmp_path)) == ["00000.parquet", "00000.sha256"]
    with UnitReader(tmp_path, 0) as reader:
        assert len(str(reader.rows[0]["detail"])) == 2000


def test_discard_takes_the_commit_back(tmp_path: Path) -> None:
    write_unit(tmp_path)
    discard(tmp_path, 0)
    assert list(tmp_path.iterdir()) == []
