"""The report tells the truth of a store: every sample's fate, every score, conservation; and the same bytes each time."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fasgen.audit.report.bundle import Bundle
from fasgen.audit.report.flow import flow
from fasgen.audit.report.illustrate import illustrate
from fasgen.audit.report.morning import write_report
from fasgen.audit.report.night import runs
from fasgen.audit.report.samples import collect, worst_first
from fasgen.errors import StoreError
from fasgen.manifests.report.card import data_card
from fasgen.manifests.unit import discard

from ..stores import HOSTILE, HOSTILE_NAME, make_store, sample


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store") / "toys")


def document(page: str) -> dict[str, Any]:
    """What a page holds, without its columns."""
    found = re.search(r'<script type="text/plain" id="data">([A-Za-z0-9+/=]*)</script>', page)
    assert found
    data = gzip.decompress(base64.b64decode(found[1]))
    length = int.from_bytes(data[:4], "little")
    loaded: dict[str, Any] = json.loads(data[4 : 4 + length])
    return loaded


def test_every_sample_has_its_fate(store: Path) -> None:
    samples = collect(store)
    assert len(samples) == 3 * 6 + 3 * 4
    names = [stage.stage for stage in samples.stages]
    assert names == ["align", "score", "synth", "synth_score"]
    fates = {samples.key(i): (samples.status[i], names[samples.ended[i]]) for i in range(len(samples))}
    assert fates[sample(0, 5)] == (1, "align")
    assert fates[sample(1, 4)] == (1, "score")
    assert fates[sample(1, 3)] == (0, "score")
    assert fates[f"{sample(2, 1)}-2"] == (0, "synth_score")
    assert sorted((samples.key(i), stage, reason) for i, stage, reason, _ in samples.rejects()) == sorted(
        [(sample(unit, 5), 0, "no_face") for unit in range(3)] + [(sample(unit, 4), 1, "quality") for unit in range(3)]
    )


def test_parents_are_found_and_scores_of_two_stages_are_one(store: Path) -> None:
    samples = collect(store)
    number = {samples.key(i): i for i in range(len(samples))}
    assert samples.parents[number[f"{sample(0, 1)}-1"]] == [number[sample(0, 1)]]
    brisque, similarity = samples.scores
    assert (brisque.name, brisque.stages, brisque.higher) == ("brisque", ["score", "synth_score"], "worse")
    assert similarity.higher == "better"
    assert samples.key(worst_first(brisque)[0]).endswith("-2")
    assert samples.key(worst_first(similarity)[0]) == f"{sample(0, 0)}-1"
    assert np.isnan(brisque.values[number[sample(0, 5)]])


def test_conservation_is_checked(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    found = {one["stage"]: one for one in flow(store, collect(store).stages)}
    assert [(one["given"], one["missing"], one["sound"], one["makes"]) for one in found.values()] == [
        (18, 0, True, False),
        (15, 0, True, False),
        (6, 0, True, True),
        (12, 0, True, False),
    ]
    assert found["score"]["source"] == "align"
    score, align = (next(store.glob(f"{name}-*")) for name in ("score", "align"))
    (score / "00001.parquet").write_bytes((score / "00002.parquet").read_bytes())
    broken = {one["stage"]: one for one in flow(store, collect(store).stages)}
    assert broken["score"]["missing"] > 0
    discard(align, 1)
    assert {one["stage"]: one["missing"] for one in flow(store, collect(store).stages)}["align"] == 0


def test_the_night_is_read_from_the_ledger(store: Path) -> None:
    (run,) = runs(store)
    assert (run["outcome"], run["seconds"], run["predicted"], run["units"], run["planned"]) == ("finished", 26.0, 30.0, 12, 72)
    assert run["stages"]["align"] == {"units": 3, "rows": 18, "workers": 1, "from": 0.5, "to": 6.0, "busy": 4.5, "seconds": 5.5}


def test_the_night_says_where_the_time_of_gpus_went(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    (silent,) = runs(store)
    assert (silent["use"], silent["first_unit"]) == (None, None)
    path = store / "runs" / "20260101-000000" / "ledger.jsonl"
    *before, last = [line for line in path.read_text().splitlines() if line.endswith("}")]
    spent = {"wall": 7200.0, "start": 60.0, "build": 30.0, "compile": 120.0, "compute": 6480.0, "wait": 510.0}
    use = {"device": "GPU", "workers": 2, **spent, "utilisation": 0.9, "unheard of": [1]}
    path.write_text("\n".join([*before, json.dumps({**json.loads(last), "use": use, "first_unit": 75.5})]) + "\n")
    (run,) = runs(store)
    assert run["first_unit"] == 75.5 and run["use"]["device"] == "GPU" and "unheard of" not in run["use"]
    written = write_report(store, tmp_path / "out")
    assert "| 2 GPU | 2:00:00 | 90 % | 0:01:30 | 0:02:00 | 0:08:30 |" in written.short.read_text()
    path.write_text("\n".join([*before, json.dumps({**json.loads(last), "use": {"wall": "x"}, "first_unit": []})]) + "\n")
    (odd,) = runs(store)
    assert odd["use"]["wall"] == 0.0 and odd["first_unit"] is None


def test_a_run_that_foretold_nothing_is_reckoned_from_its_first_units(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    ledger = store / "runs" / "20260101-000000" / "ledger.jsonl"
    ledger.write_text("".join(line for line in ledger.read_text().splitlines(keepends=True) if "predicted" not in line))
    (run,) = runs(store)
    assert run["predicted"] == pytest.approx(4 * 3 * 1.0)
    ledger.write_bytes(b'[1]\n"x"\n{"time": 5}\n{"time": "nonsense", "event": []}\n\xff\xfe\n')
    assert runs(store) == []


def test_the_same_store_gives_the_same_bytes(store: Path, tmp_path: Path) -> None:
    first, second = write_report(store, tmp_path / "a"), write_report(store, tmp_path / "b")
    assert first.page.read_bytes() == second.page.read_bytes()
    assert first.short.read_bytes() == second.short.read_bytes()
    assert (first.samples, first.thumbnails, first.strips) == (30, 27, 27)
    short = first.short.read_text()
    assert "30 samples: 24 ok, 6 filtered, 0 failed. Every row is accounted for at every stage." in short
    assert "| align | no_face | 3 |" in short


def test_a_budget_is_kept(store: Path) -> None:
    samples = collect(store)
    whole = illustrate(samples, 10_000_000)
    assert whole.side == 96 and (whole.thumb >= 0).sum() == 27
    for budget in (60_000, 20_000, 6_000, 1):
        less = illustrate(samples, budget)
        assert less.bytes <= budget
        assert set(less.thumb[less.thumb >= 0].tolist()) == set(range((less.thumb >= 0).sum()))


def test_sources_are_shown_where_nothing_else_is(store: Path) -> None:
    samples = collect(store)
    asked = []

    def originals(dataset: str, sample_id: str) -> Any:
        asked.append((dataset, sample_id))
        return np.zeros((40, 20, 3), np.uint8) if sample_id == sample(0, 5) else None

    pictures = illustrate(samples, 10_000_000, originals)
    assert {sample_id for _, sample_id in asked} == {sample(unit, 5) for unit in range(3)}
    assert ["source"] in pictures.names


def test_damaged_pictures_are_counted_and_the_rest_is_shown(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    tar = next(store.glob("align-*")) / "00001.tar"
    tar.chmod(0o644)
    tar.write_bytes(b"x" * 4096)
    written = write_report(store, tmp_path / "out")
    assert written.unreadable > 0 and written.thumbnails == 27 - 5
    assert document(written.page.read_text())["pictures"]["unreadable"] == written.unreadable


def test_hostile_texts_never_stand_in_the_page(tmp_path: Path) -> None:
    store = make_store(tmp_path / HOSTILE_NAME, hostile=True)
    page = write_report(store, tmp_path).page.read_text()
    for text in ("alert(", "onerror", HOSTILE, HOSTILE_NAME):
        assert text not in page
    assert page.count("</script>") == page.count("<script")
    held = document(page)
    assert HOSTILE in json.dumps(held, ensure_ascii=False).replace('\\"', '"') and held["store"] == HOSTILE_NAME
    short = (tmp_path / "REPORT.md").read_text()
    assert "alert" in short and "<img src=x" not in short.replace("\\<", "") and "<svg" not in short.replace("\\<", "")
    # No text has made a cell, a line or a code span more than the tables have.
    columns = {line.replace("\\|", "").count("|") for line in short.splitlines() if line.startswith("|")}
    assert columns <= {5, 6, 8, 10} and all(line.replace("\\`", "").count("`") % 2 == 0 for line in short.splitlines())


def test_a_card_holds_hostile_names_as_text() -> None:
    stage = {"stage": HOSTILE, "summary": HOSTILE, "version": HOSTILE, "plan_hash": HOSTILE, "weights": {HOSTILE: HOSTILE}}
    stage |= {
        "config": {HOSTILE: HOSTILE},
        "rows": {"planned": 1, "ok": 0, "filtered": 1, "failed": 0, "reasons": {HOSTILE: 1}},
    }
    counts = {HOSTILE: 1}
    total = {"samples": 1, "shards": 1, "bytes": 1, "subjects": 0, "samples_without_subject": 1, "synthetic": 0}
    total |= {"cues": {"residual": 1, HOSTILE: 1}}
    facts = {"doc": HOSTILE, "one": 1.0, "card": HOSTILE, "drawn": HOSTILE, "leaves": HOSTILE}
    cues = {name: facts | {"name": name} for name in total["cues"]}
    total |= {"counts": dict.fromkeys(("attack_type", "dataset", "domain", "licence"), counts)}
    total |= {"labels_by_split": [{"split": HOSTILE, "label": HOSTILE, "samples": 1}]}
    units = {"planned": 1, "packed": 1}
    stage["config"] |= {"reconstruction": True}
    card = data_card({"total": total, "cues": cues, "stages": [stage], "plan_hash": HOSTILE, "units": units})
    # Settings stand in an indented block, which is code to every reader of Markdown.
    prose = "\n".join(line for line in card.splitlines() if not line.startswith("    "))
    told = re.sub(r"`[^`\n]*`", "", re.sub(r"\\[<>`]", "", prose.partition("## How to read it")[0]))
    assert "alert" in told and "<script" not in told and "<img" not in told
    assert all("\n" not in line and HOSTILE not in line for line in prose.splitlines())


def test_a_bundle_comes_back() -> None:
    bundle = Bundle()
    made = {"a": bundle.column(np.arange(3, dtype=np.float32)), "b": bundle.column(np.array([-1, 5], np.int64)), "t": "é\ud800"}
    data = gzip.decompress(base64.b64decode(bundle.encode(made)))
    start = 4 + int.from_bytes(data[:4], "little")
    assert start % 8 == 0
    back = json.loads(data[4:start])
    kind, offset, count = back["b"]["$"]
    assert np.frombuffer(data, f"<{kind}", count, start + offset).tolist() == [-1, 5]
    assert back["t"] == "é\\udc00" or back["t"].startswith("é")


def test_an_empty_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no committed unit"):
        write_report(tmp_path, tmp_path)
