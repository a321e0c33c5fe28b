"""The facts of a unit, read without parsing its footer, are those that parsing gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from fasgen.errors import StoreError
from fasgen.manifests import unit as room
from fasgen.manifests.parquet import encode_manifest
from fasgen.manifests.schema import COMMON, arrow_schema
from fasgen.manifests.unit import UnitFacts, UnitSummary, manifest_path, unit_facts, unit_summary

from .units import write_unit


def test_a_real_unit(tmp_path: Path) -> None:
    summary = write_unit(tmp_path, unit=7)
    found = room._facts_at_end(manifest_path(tmp_path, 7))
    assert found == unit_facts(tmp_path, 7) and found.summary == summary == unit_summary(tmp_path, 7)


@pytest.mark.parametrize(
    ("names", "detail", "parsed"),
    [(0, "", False), (1, "", False), (40, "", False), (400, "", False), (2000, "", True), (1, "\x18\x06fasgen", True)],
)
def test_facts_of_any_length(tmp_path: Path, names: int, detail: str, parsed: bool) -> None:
    """More than is read of a file's end, or texts that look like the facts: then the footer is parsed."""
    facts = UnitFacts(UnitSummary(0, 1, 1, 0, 0, {}, 0), None, (), {f"a/{n}": "0" * 40 for n in range(names)}, "p", "w")
    row = {column.name: None for column in COMMON}
    row |= {"sample_id": "s", "parent_ids": [], "unit": 0, "row": 0, "variant": 0, "status": "ok", "seed": 0}
    row |= {"plan_hash": "p", "weights": "w", "detail": detail}
    manifest_path(tmp_path, 0).write_bytes(encode_manifest([row], arrow_schema([]), facts))
    assert (room._facts_at_end(manifest_path(tmp_path, 0)) is None) == parsed
    assert unit_facts(tmp_path, 0) == facts and unit_summary(tmp_path, 0) == facts.summary


def test_a_cut_or_damaged_manifest_is_named(tmp_path: Path) -> None:
    write_unit(tmp_path, unit=0)
    path = manifest_path(tmp_path, 0)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole[: len(whole) // 2], b"", whole.replace(b'"planned":', b'"plannet":')):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="not a sound manifest"):
            unit_summary(tmp_path, 0)
    with pytest.raises(StoreError, match="not committed"):
        unit_summary(tmp_path, 1)
