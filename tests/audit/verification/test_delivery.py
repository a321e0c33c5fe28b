"""Index and data card: whole, or named; behind the manifests, or forged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fasgen.audit.verify import verify
from fasgen.manifests.plan_file import read_plan, write_plan
from fasgen.manifests.report.delivery import build_index, encode_card, encode_index, finish, is_whole_card, read_index
from fasgen.manifests.shard import UnitWriter
from fasgen.manifests.unit import discard
from fasgen.records import Column
from tests.manifests.units import image, plan_hash, row

SYNTHETIC = (Column("synthetic", "bool", "whether it was generated"),)


def write_shard(folder: Path, unit: int) -> None:
    with UnitWriter(
        folder, unit, columns=SYNTHETIC, arrays={}, tar="fas-{unit:06d}.tar", plan_hash=plan_hash("pack"), weights=""
    ) as writer:
        for number in range(3):
            writer.ok(row(100 * unit + number), images={"image": image(number)}, values={"synthetic": number == 1})
        writer.commit(3)


def delivery(store: Path) -> Path:
    folder = store / f"pack-{plan_hash('pack')[:8]}"
    write_plan(
        folder,
        {"stage": "pack", "plan_hash": plan_hash("pack"), "upstream": {"sources": "0" * 64}, "units": 3, "config": {}}
        | {"shipped": True, "weights": {}, "version": 1, "summary": "shards"},
    )
    for unit in (0, 1):
        write_shard(folder, unit)
    finish(folder, read_plan(folder))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return delivery(tmp_path_factory.mktemp("store"))


def said(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in verify(folder.parent):
        found.setdefault(one.severity, []).append(f"{Path(one.where).name}: {one.what}")
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_altered_byte_is_named(folder: Path, data: st.DataObject) -> None:
    path = folder / data.draw(st.sampled_from(["index.json", "README.md", "croissant.json", "plan.json"]))
    good = path.read_bytes()
    at, cut = data.draw(st.integers(0, len(good) - 1)), data.draw(st.booleans())
    path.write_bytes(good[:at] if cut else good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :])
    try:
        found = said(folder)
    finally:
        path.write_bytes(good)
    assert any(line.startswith((path.name, folder.name)) for line in found["error"])
    assert verify(folder.parent) == []


def test_what_is_behind_the_manifests_is_a_warning(tmp_path: Path) -> None:
    folder = delivery(tmp_path)
    before = (folder / "README.md").read_bytes()
    write_shard(folder, 2)
    assert list(said(folder)) == ["warning"] and len(said(folder)["warning"]) == 3
    # Killed between the two files.
    (folder / "README.md").write_bytes(encode_card(build_index(folder, read_plan(folder))))
    assert [line[:10] for line in said(folder)["warning"]] == ["index.json", "croissant."]
    finish(folder, read_plan(folder))
    assert verify(tmp_path) == []
    (folder / "croissant.json").unlink()
    assert said(folder) == {"warning": ["croissant.json: is not there: `fasgen run` writes it"]}
    finish(folder, read_plan(folder))
    (folder / "README.md").write_bytes(before)
    assert "README.md: says other than the index" in said(folder)["error"][0]
    (folder / "README.md").unlink()
    assert "README.md: is not there" in said(folder)["error"][0]
    (folder / "index.json").unlink()
    assert [line[:19] for line in said(folder)["warning"]] == ["index.json: is not ", "README.md: is not t"]
    for unit in range(3):
        discard(folder, unit)
    assert verify(tmp_path) == []


def test_forged_figures_contradict_the_manifests(tmp_path: Path) -> None:
    folder = delivery(tmp_path)
    forged = read_index((folder / "index.json").read_bytes())
    assert forged is not None
    forged["total"]["synthetic"] = 0
    (folder / "index.json").write_bytes(encode_index(forged))
    (folder / "README.md").write_bytes(encode_card(forged))
    assert said(folder)["error"][0].startswith("index.json: says other than the manifests")


def test_a_deleted_upstream_is_no_damage(tmp_path: Path) -> None:
    folder = delivery(tmp_path)
    told = read_index((folder / "index.json").read_bytes())
    assert told is not None
    told["stages"][0]["rows"] = {"planned": 9}
    (folder / "index.json").write_bytes(encode_index(told))
    assert list(said(folder)) == ["warning"]


def test_the_digest_is_of_all_the_rest(folder: Path) -> None:
    index = build_index(folder, read_plan(folder))
    data = encode_index(index)
    assert read_index(data) == index and json.loads(data)["total"]["samples"] == 6
    for bad in (b"", b"[]", b"{}", b"{", data + b" ", data.replace(b'"samples":6', b'"samples":7'), b"[" * 100_000):
        assert read_index(bad) is None
    card = encode_card(index)
    assert is_whole_card(card) and not is_whole_card(card[:-1]) and not is_whole_card(b"") and not is_whole_card(card[1:])
