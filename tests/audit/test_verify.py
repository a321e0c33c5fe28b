"""Whatever is altered, verify names it; a sound store has no findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fasgen.audit.verification.findings import Finding
from fasgen.audit.verify import verify
from fasgen.errors import StoreError
from fasgen.manifests import unit as unit_module
from fasgen.manifests.atomic import file_digest
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.sources_file import write_sources
from tests.manifests.units import plan_hash, tree, write_stage, write_unit


def store_of(path: Path) -> Path:
    """Two stages; the second one's rows are the first one's ok rows."""
    write_sources(path, "toy", [{"sample_id": "0" * 16, "path": "a.jpg", "size": 3}])
    write_stage(path, "align")
    write_stage(path, "score", {"align": plan_hash("align")}, rows=[0, 1, 3, 4, 5])
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_of(tmp_path_factory.mktemp("store"))


def errors(findings: list[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == "error"]


def test_a_sound_store_has_no_findings(store: Path) -> None:
    assert verify(store) == []


COVERED = ("00000.parquet", ".tar", ".sha256", "zarr.json", "/c/0/0", "/c/0/0/0/0")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_altered_byte_is_named(store: Path, data: st.DataObject) -> None:
    files = [name for name in tree(store) if name.endswith(COVERED)]
    assert {Path(name).suffix for name in files} == {".parquet", ".tar", ".sha256", ".json", ""}
    name = data.draw(st.sampled_from(files))
    path = store / name
    good = path.read_bytes()
    bad = bytearray(good)
    bad[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(bad)
    try:
        found = errors(verify(store))
    finally:
        path.write_bytes(good)
    assert found
    # A listing of digests that was altered accuses the file it lies about, so either of the two is named.
    named = " ".join(finding.where for finding in found)
    assert str(path) in named or path.suffix == ".sha256"


@pytest.mark.parametrize(
    "name", ["00000.tar", "00000.parquet", "00000.sha256", "00000.zarr/cue/zarr.json", "00000.zarr/cue/c/0/0/0/0"]
)
def test_files_missing_or_cut_are_named(tmp_path: Path, name: str) -> None:
    folder = store_of(tmp_path) / f"score-{plan_hash('score')[:8]}"
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert any(str(path) == finding.where for finding in errors(verify(tmp_path)))
    path.unlink()
    if name != "00000.parquet":
        assert any(str(path) == finding.where for finding in errors(verify(tmp_path)))
    else:
        assert [(finding.severity, Path(finding.where).name) for finding in verify(tmp_path)] == [("warning", "00000.zarr")]


def resign(folder: Path) -> None:
    """Make the digests fit what lies there, as someone would who alters on purpose."""
    lines = [line.partition("  ")[2] for line in (folder / "00000.sha256").read_text().splitlines()]
    (folder / "00000.sha256").write_text("".join(f"{file_digest(folder / name)}  {name}\n" for name in lines))


def rewrite(folder: Path, change: dict[str, object], row: int = 1) -> None:
    import pyarrow as pa

    from fasgen.manifests.parquet import encode_table, read_table

    table = read_table(folder / "00000.parquet")
    rows = table.to_pylist()
    rows[row] |= change
    (folder / "00000.parquet").write_bytes(encode_table(pa.Table.from_pylist(rows, schema=table.schema)))
    resign(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "failed"}, "rows, ok, filtered, failed"),
        ({"reason": "no_face"}, "does not go with reason"),
        ({"payload_digest": "0" * 64}, "not what the row's payload digest says"),
        ({"member": "other.png"}, "its first member is"),
        ({"sample_id": "0" * 16}, "stands in unit 0 as well"),
        ({"plan_hash": "q"}, "differ from the manifest's own"),
        ({"row": 77}, "not the ok rows of its upstream"),
    ],
)
def test_manifests_altered_on_purpose_contradict_themselves(tmp_path: Path, change: dict[str, object], message: str) -> None:
    store_of(tmp_path)
    rewrite(tmp_path / f"align-{plan_hash('align')[:8]}", change)
    assert any(message in finding.what for finding in errors(verify(tmp_path)))


def test_the_chain_of_plans(tmp_path: Path) -> None:
    store_of(tmp_path)
    align = tmp_path / f"align-{plan_hash('align')[:8]}"
    unit_module.discard(align, 0)
    assert any("which is not committed" in finding.what for finding in errors(verify(tmp_path)))
    (align / "plan.json").unlink()
    assert any("which is not in the store" in finding.what for finding in errors(verify(tmp_path)))
    score = tmp_path / f"score-{plan_hash('score')[:8]}"
    write_plan(score, {"stage": "score", "plan_hash": "f" * 64})
    assert any("is not the plan of this folder" in finding.what for finding in errors(verify(tmp_path)))
    (score / "plan.json").write_text("{")
    assert any("plan.json: is damaged" in finding.what for finding in errors(verify(tmp_path)))


def test_a_sample_in_two_units_is_named(tmp_path: Path) -> None:
    folder = write_stage(tmp_path, "align")
    write_unit(folder, unit=1, plan=plan_hash("align"))
    assert any("stands in unit 0 as well" in finding.what for finding in errors(verify(tmp_path)))


def test_leftovers_are_warnings(tmp_path: Path) -> None:
    folder = write_stage(tmp_path, "align")
    (folder / ".tmp-00003-17-abcd").mkdir()
    assert [(finding.severity, finding.where) for finding in verify(tmp_path)] == [
        ("warning", str(folder / ".tmp-00003-17-abcd"))
    ]


def test_a_file_too_many_in_the_arrays_is_named(tmp_path: Path) -> None:
    extra = write_stage(tmp_path, "align") / "00000.zarr" / "cue" / "c" / "1"
    extra.write_text("")
    assert [finding.where for finding in errors(verify(tmp_path))] == [str(extra)]


def test_an_altered_listing_is_named(tmp_path: Path) -> None:
    store_of(tmp_path)
    (tmp_path / "sources/toy/digest").write_text(json.dumps("0"))
    assert [finding.where for finding in errors(verify(tmp_path))] == [str(tmp_path / "sources/toy/digest")]


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there"):
        verify(tmp_path / "none")
