"""Shards in the loaders of others, which take types from the first samples and know nothing of fasgen."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fasgen.manifests.report.croissant import encode_croissant
from fasgen.manifests.report.delivery import build_index, finish
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.records import LATER, PROVENANCE
from fasgen.stages.pack.config import SPEC, PackConfig
from fasgen.stages.stage import Sample
from tests.stages.pack.test_pack_delivery import PACK, plan
from tests.stages.pack.test_pack_stage import full, product, sample

ROOT = Path(__file__).parents[3]
LOADERS = ROOT / ".venv-loaders"


def samples() -> list[list[Sample]]:
    """Of the first unit nothing is known, of the second everything, and half of it was made."""
    bare, rich = [sample(number) for number in range(6)], [full(sample(6 + number)) for number in range(4)]
    for one in bare:
        one.values = {"label": "live"}
    for one in rich[::2]:
        one.variant = 2
    return [bare, rich]


@pytest.fixture(scope="module")
def delivery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / f"pack-{PACK[:8]}"
    for unit, rows in enumerate(samples()):
        with UnitWriter(folder, unit, columns=SPEC.columns, arrays={}, tar=SPEC.tar, plan_hash=PACK, weights="") as writer:
            for number, one in enumerate(rows):
                made = product(one)
                provenance = {column.name: one.values.get(column.name) for column in PROVENANCE}
                row = Row(one.sample_id, number, one.seed, one.variant, provenance=provenance)
                writer.ok(row, images={}, arrays={}, files=made.files, values=made.values)
            writer.commit(len(rows))
    finish(folder, {**plan(), "units": 2, "upstream": {}})
    return folder


def keys() -> dict[str, Any]:
    """The JSON of every sample by its key."""
    made = [one for unit in samples() for one in unit]
    return {one.sample_id + (f"-{one.variant}" if one.variant else ""): json.loads(product(one).files["json"]) for one in made}


def test_croissant_names_every_shard_and_every_column(delivery: Path) -> None:
    told = json.loads((delivery / "croissant.json").read_bytes())
    files = {one["@id"]: one for one in told["distribution"]}
    index = build_index(delivery, {**plan(), "units": 2, "upstream": {}})
    assert [files[shard["name"]]["sha256"] for shard in index["shards"]] == [shard["sha256"] for shard in index["shards"]]
    assert {"manifests", "png", "json", "cue-residual"} <= files.keys()
    fields = {one["name"]: one for records in told["recordSet"] for one in records["field"]}
    named = {column.name for column in (*PROVENANCE, *SPEC.columns)}
    # What only some manifests have, the samples' JSON tells.
    assert {f"samples/{name}" for name in named - LATER} <= fields.keys()
    assert not {f"samples/{name}" for name in LATER} & fields.keys()
    assert all(one["description"] for one in fields.values())
    assert fields["samples/shipped_box"]["repeated"] and fields["samples/frame"]["dataType"] == "sc:Integer"
    assert (delivery / "croissant.json").read_bytes() == encode_croissant(delivery, index)


def test_croissant_of_no_shard_lists_none(tmp_path: Path) -> None:
    finish(tmp_path / "pack-eeeeeeee", {**plan(), "upstream": {}})
    told = json.loads((tmp_path / "pack-eeeeeeee" / "croissant.json").read_bytes())
    assert told["distribution"] == told["recordSet"] == []


@pytest.mark.skipif(not (LOADERS / ".ready").exists(), reason="needs `datasets` and `mlcroissant`: make loaders")
def test_other_loaders_read_all_of_it(delivery: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [LOADERS / "bin" / "python", ROOT / "tests" / "loaders.py", delivery, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    found, wanted = json.loads(done.stdout.splitlines()[-1]), keys()
    hugging, croissant = found["datasets"], found["croissant"]
    assert hugging["json"] == wanted and hugging["folder"] == hugging["streamed"] == len(wanted) and hugging["alike"]
    first = next(iter(samples()[0]))
    assert hugging["size"] == [24, 24] and hugging["cue"] == first.cues["residual"].array.tolist()
    assert croissant["errors"] == []
    assert {one["images/key"] for one in croissant["images"]} == wanted.keys()
    assert all(one["images/image"] == [24, 24] for one in croissant["images"])
    assert {one["records/key"]: json.loads(one["records/json"]) for one in croissant["records"]} == wanted
    rows = {one["samples/sample_id"]: one for one in croissant["samples"]}
    assert [rows[one.sample_id]["samples/label"] for unit in samples() for one in unit] == ["live"] * 6 + ["spoof"] * 4
    assert rows[samples()[1][0].sample_id]["samples/shipped_box"] == [-1.0, 2.0]


def test_the_packed_format_has_no_null(delivery: Path) -> None:
    assert PackConfig().cues is None
    assert all(b"null" not in path.read_bytes() for path in delivery.glob("fas-*.tar"))
