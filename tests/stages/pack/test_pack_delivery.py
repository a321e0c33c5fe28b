"""From stored units to shards to tensors: every byte that a trainer reads is the byte that the store holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import webdataset
from torch.utils.data import DataLoader

from fasgen.errors import StoreError
from fasgen.manifests.report.delivery import build_index, finish
from fasgen.manifests.schema import COMMON
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.engine import UnitTask, UpstreamUnit
from fasgen.pipeline.events import Key
from fasgen.pipeline.wiring import wire
from fasgen.pipeline.worker import Worker
from fasgen.reader import FasDataset, FasIndex, SampleDecoder, collate
from fasgen.records import MADE_BY, PROVENANCE, Column, Reason
from fasgen.stages import STAGES, specs
from fasgen.stages.pack.config import SPEC, PackConfig
from fasgen.stages.stage import Reads

SIZE, UNITS, ROWS = 20, 3, 4
UPSTREAM: Mapping[str, str] = {"score": "a" * 64, "align": "b" * 64, "defake": "c" * 64, "identify": "d" * 64}
LGSC, PACK = "9" * 64, "e" * 64


def provenance(number: int) -> dict[str, Any]:
    label = ("live", "spoof", "unknown")[number % 3]
    values = dict.fromkeys((column.name for column in PROVENANCE), None)
    attack = "print|flat `x`" if label == "spoof" else None
    return {
        **values,
        "label": label,
        "dataset": "made",
        "attack_type": attack,
        "licence": "CC0-1.0",
        "subject": f"made/{number % 4}",
    }


def lane(lgsc: bool = True) -> tuple[Reads, ...]:
    """What pack reads of photographs."""
    on = {**specs(), "stdn": replace(specs()["stdn"], off=lambda config: True)}
    on["lgsc"] = replace(on["lgsc"], off=lambda config: not lgsc)
    on |= {name: replace(on[name], off=lambda config: True) for name in ("synth", "foreign")}
    return wire(on, lambda section: PackConfig())["pack"].sets[0]


def write_upstream(store: Path) -> None:
    """Units of align, identify, defake and lgsc as their stages would leave them; row 2 of unit 1 has no face."""
    wanted: dict[str, Reads] = {}
    for one in lane():
        before = wanted.get(one.stage, one)
        wanted[one.stage] = replace(one, columns=tuple(dict.fromkeys((*before.columns, *one.columns))))
    for stage, digest in {**UPSTREAM, "lgsc": LGSC}.items():
        reads, folder = wanted[stage], store / f"{stage}-{digest[:8]}"
        own = [name for name in reads.columns if name not in MADE_BY]
        lists = {"box", "landmarks", "transform"}
        columns = [Column(name, "list<float32>" if name in lists else "float64", name) for name in own]
        kinds = {"residual": "int16", "embedding": "float32", "lgsc": "int16"}
        arrays = {name: kinds[name] for name in reads.arrays}
        for unit in range(UNITS):
            with UnitWriter(folder, unit, columns=columns, arrays=arrays, plan_hash=digest, weights=f"w-{stage}") as writer:
                for row in range(ROWS):
                    number = unit * ROWS + row
                    rng = np.random.default_rng(number)
                    image, made = rng.integers(0, 256, (2, SIZE, SIZE, 3), np.uint8)
                    payload = {"residual": image.astype(np.int16) - made, "embedding": rng.standard_normal(8, np.float32)}
                    payload["lgsc"] = 128 * (made.astype(np.int16) - 128)
                    identity = Row(f"{number:016x}", row, number + 100, provenance=provenance(number))
                    if (unit, row) == (1, 2):
                        writer.reject(identity, Reason.NO_FACE, "")
                        continue
                    writer.ok(
                        identity,
                        images={"crop": image} if stage == "align" else {},
                        arrays={name: payload[name] for name in arrays},
                        files={},
                        values={column.name: [1.0, 2.0] if column.name in lists else 0.5 for column in columns},
                    )
                writer.commit(ROWS)
        plan = {
            "stage": stage,
            "version": 1,
            "summary": stage,
            "plan_hash": digest,
            "config": {},
            "weights": {},
            "upstream": {},
        }
        (folder / "plan.json").write_text(json.dumps(plan))


def pack(store: Path, lgsc: bool = False, **config: Any) -> Path:
    """Pack every unit with the worker that every engine uses."""
    folder = store / f"pack-{PACK[:8]}"
    above = {**UPSTREAM, "lgsc": LGSC} if lgsc else UPSTREAM
    worker = Worker()
    for unit in range(UNITS):
        task = UnitTask(
            key=Key("pack", unit),
            target=STAGES["pack"],
            config=PackConfig(**config),
            folder=folder,
            plan_hash=PACK,
            weights="",
            batch=2,
            run_seed=0,
            lanes=(lane(lgsc),),
            upstream={name: UpstreamUnit(store / f"{name}-{digest[:8]}", "{unit:05d}.tar") for name, digest in above.items()},
        )
        worker.run(task)
    return folder


def plan(**config: Any) -> dict[str, Any]:
    content: dict[str, Any] = {"stage": "pack", "version": 1, "summary": SPEC.summary, "plan_hash": PACK, "units": UNITS}
    content["gathers"] = [asdict(reads.cue) for reads in lane() if reads.cue]
    return {**content, "config": PackConfig(**config).model_dump(), "weights": {}, "upstream": dict(UPSTREAM)}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("store")
    write_upstream(store)
    return store


@pytest.fixture(scope="module")
def delivery(upstream: Path) -> Path:
    folder = pack(upstream)
    finish(folder, plan())
    return folder


def stored(store: Path) -> dict[str, tuple[bytes, np.ndarray]]:
    """PNG and residual of every accepted sample, straight from the store."""
    out = {}
    for unit in range(UNITS):
        with UnitReader(store / "align-bbbbbbbb", unit) as align, UnitReader(store / "defake-cccccccc", unit) as defake:
            for row in align.rows:
                if row["status"] == "ok":
                    number = int(str(row["row"]))
                    out[str(row["sample_id"])] = align.encoded(number, "crop"), defake.array(number, "residual")
    return out


def test_all_that_pack_reads_is_declared_upstream() -> None:
    for reads in lane():
        spec = specs()[reads.stage]
        assert set(reads.columns) <= {column.name for column in (*COMMON, *spec.columns)}
        assert set(reads.encoded) <= set(spec.images) and set(reads.arrays) <= {array.name for array in spec.arrays}


def test_plain_webdataset_reads_every_byte_of_the_store(upstream: Path, delivery: Path) -> None:
    expected = stored(upstream)
    urls = sorted(str(path) for path in delivery.glob("fas-*.tar"))
    assert [Path(url).name for url in urls] == ["fas-000000.tar", "fas-000001.tar", "fas-000002.tar"]
    raw = {sample["__key__"]: sample for sample in webdataset.WebDataset(urls, shardshuffle=False)}
    decoded = {sample["__key__"]: sample for sample in webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8")}
    assert list(raw) == list(decoded) == list(expected) and len(expected) == UNITS * ROWS - 1
    for key, (png, residual) in expected.items():
        assert raw[key]["png"] == png
        assert decoded[key]["residual.npy"].dtype == np.int16 and np.array_equal(decoded[key]["residual.npy"], residual)
        assert np.array_equal(decoded[key]["png"], cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1])
        record = decoded[key]["json"]
        assert record["sample_id"] == key and record["licence"] == "CC0-1.0" and record["geometry"]["box"] == [1.0, 2.0]
        assert (
            record["cues"]["residual"]["plan_hash"] == UPSTREAM["defake"]
            and record["cues"]["residual"]["weights"] == "w-defake"
        )
        assert record["cues"]["residual"]["seed"] == int(key, 16) + 100


@pytest.mark.parametrize("workers", [0, 2])
def test_the_reader_gives_every_pixel_of_the_store(upstream: Path, delivery: Path, workers: int) -> None:
    expected = stored(upstream)
    data = FasDataset(delivery, SampleDecoder(cue_scale="levels"), shuffle=3)
    seen = {}
    for batch in DataLoader(data, batch_size=3, num_workers=workers, collate_fn=collate):
        for image, cue, meta in zip(batch["image"], batch["residual"], batch["meta"], strict=True):
            assert meta["sample_id"] not in seen
            seen[meta["sample_id"]] = image, cue
    assert seen.keys() == expected.keys() and len(data) == len(expected)
    for key, (png, residual) in expected.items():
        image, cue = seen[key]
        rgb = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
        assert np.array_equal(((image + 1) * 127.5).round().permute(1, 2, 0).numpy().astype(np.uint8), rgb)
        assert np.array_equal(cue.permute(1, 2, 0).numpy(), residual)


@pytest.mark.parametrize("cue_format", ["npy", "npy.gz"])
def test_every_form_reads_alike(tmp_path: Path, upstream: Path, delivery: Path, cue_format: str) -> None:
    write_upstream(tmp_path)
    folder = pack(tmp_path, cue_format=cue_format, reconstruction=True, embedding=True)
    finish(folder, plan(cue_format=cue_format, reconstruction=True, embedding=True))
    decoder = SampleDecoder(images=("reconstruction",), arrays=("embedding",), cue_scale="signed")
    index, plain = FasIndex(folder, decoder), FasIndex(delivery, SampleDecoder(cue_scale="signed"))
    assert len(index) == len(plain) == UNITS * ROWS - 1
    for number in range(len(index)):
        sample: Mapping[str, Any] = index[number]
        assert torch.equal(sample["residual"], plain[number]["residual"])
        assert torch.allclose(sample["image"] - sample["reconstruction"], sample["residual"], atol=1e-6)
        assert sample["embedding"].shape == (8,)
    urls = [str(path) for path in sorted(folder.glob("fas-*.tar"))]
    for sample in webdataset.WebDataset(urls, shardshuffle=False).decode("rgb8"):
        cue = sample[f"residual.{cue_format}"]
        assert np.array_equal(sample["png"].astype(np.int16) - cue, sample["reconstruction.png"])


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = tmp_path_factory.mktemp("several")
    write_upstream(store)
    folder = pack(store, lgsc=True)
    finish(folder, {**plan(), "upstream": {**UPSTREAM, "lgsc": LGSC}})
    return folder


def test_several_cues_travel_together_and_the_others_do_not_change(several: Path, delivery: Path) -> None:
    decoder = SampleDecoder(cues=("residual", "lgsc"), cue_scale="levels")
    both, one = FasIndex(several, decoder), FasIndex(delivery, SampleDecoder(cue_scale="levels"))
    assert len(both) == len(one) == UNITS * ROWS - 1
    for number in range(len(one)):
        several_cues, single = dict(both[number]), dict(one[number])
        assert torch.equal(several_cues["residual"], single["residual"]) and torch.equal(several_cues["image"], single["image"])
        made = ((several_cues["image"] + 1) * 127.5).round() - several_cues["residual"]
        assert torch.equal(several_cues["lgsc"], 128 * (made - 128))
    signed = FasIndex(several, SampleDecoder(cues=("lgsc",), cue_scale="signed"))[0]
    assert "residual" not in signed and torch.allclose(dict(signed)["lgsc"] * 32767, dict(both[0])["lgsc"], atol=1e-2)


def test_index_and_card_list_the_cues(several: Path, delivery: Path) -> None:
    assert json.loads((several / "index.json").read_bytes())["total"]["cues"] == {"lgsc": 11, "residual": 11}
    assert json.loads((delivery / "index.json").read_bytes())["total"]["cues"] == {"residual": 11}
    card, plain = (several / "README.md").read_text(), (delivery / "README.md").read_text()
    for part in ("<id>.residual.npy", "<id>.lgsc.npy", "divide by 32767", 'cues=("lgsc", "residual",), augment'):
        assert part in card
        assert part == "<id>.residual.npy" or part not in plain


def test_the_index_tells_shards_counts_and_what_was_left_out(delivery: Path) -> None:
    index = json.loads((delivery / "index.json").read_bytes())
    assert [shard["name"] for shard in index["shards"]] == ["fas-000000.tar", "fas-000001.tar", "fas-000002.tar"]
    assert [shard["samples"] for shard in index["shards"]] == [4, 3, 4]
    for shard in index["shards"]:
        content = (delivery / shard["name"]).read_bytes()
        assert shard["bytes"] == len(content) and shard["sha256"] == hashlib.sha256(content).hexdigest()
    assert index["total"]["samples"] == 11 and index["total"]["subjects"] == 4
    labels = [provenance(number)["label"] for number in range(12) if number != 6]
    assert index["total"]["counts"]["label"] == {name: labels.count(name) for name in ("live", "spoof", "unknown")}
    assert [stage["stage"] for stage in index["stages"]] == ["align", "defake", "identify", "score", "pack"]
    assert index["stages"][0]["rows"]["reasons"] == {"no_face": 1} and index["stages"][-1]["rows"]["planned"] == 11


def test_the_card_says_what_was_asked_and_breaks_at_no_name(delivery: Path) -> None:
    card = (delivery / "README.md").read_text()
    for part in (
        "CC0-1.0",
        "no_face 1",
        "image - reconstruction",
        "webdataset",
        "FasDataset",
        "eeeeeeeeeeeeeeee",
        "11 samples",
    ):
        assert part in card
    assert r"| print\|flat \`x\` | 4 |" in card
    assert "Not complete" not in card


def test_finishing_again_changes_no_byte_and_a_part_is_told(tmp_path: Path, delivery: Path) -> None:
    before = {name: (delivery / name).read_bytes() for name in ("index.json", "README.md")}
    finish(delivery, plan())
    assert before == {name: (delivery / name).read_bytes() for name in before}
    finish(tmp_path / "pack-eeeeeeee", {**plan(), "upstream": {}})
    assert "0 of 3 units" in (tmp_path / "pack-eeeeeeee" / "README.md").read_text()


def test_labels_left_out_are_counted_and_an_empty_shard_is_none(tmp_path: Path) -> None:
    write_upstream(tmp_path)
    folder = pack(tmp_path, licences=("nothing",))
    finish(folder, plan(licences=("nothing",)))
    index = build_index(folder, plan())
    assert index["shards"] == [] and index["stages"][-1]["rows"]["reasons"] == {"licence": 11}
    with pytest.raises(StoreError, match="no shards"):
        FasDataset(folder)


def test_two_stores_give_the_same_delivery(tmp_path: Path, delivery: Path) -> None:
    write_upstream(tmp_path)
    folder = pack(tmp_path)
    finish(folder, plan())
    names = [path.name for path in delivery.iterdir() if "timing" not in path.name]
    assert sorted(names) == sorted(path.name for path in folder.iterdir() if "timing" not in path.name)
    assert all((folder / name).read_bytes() == (delivery / name).read_bytes() for name in names)


def test_a_shard_that_is_gone_is_named(tmp_path: Path) -> None:
    write_upstream(tmp_path)
    folder = pack(tmp_path)
    (folder / "fas-000001.tar").unlink()
    with pytest.raises(StoreError, match=r"fas-000001\.tar is not there"):
        build_index(folder, plan())
