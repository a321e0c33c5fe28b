"""Every figure of the report against the manifests, counted another way; and nothing said that is not so."""

from __future__ import annotations

import csv
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fasgen.audit.query import show
from fasgen.audit.report.drawn import drawn
from fasgen.audit.report.facts import gather
from fasgen.audit.report.flow import flow, verdict
from fasgen.audit.report.morning import write_report
from fasgen.audit.report.night import runs
from fasgen.audit.report.samples import KINDS, collect
from fasgen.audit.report.totals import group_name
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import forget, latest, read_plan, write_plan
from fasgen.manifests.unit import committed_units, discard, manifest_path
from tests.manifests.units import plan_hash

from ...browser import Browser
from ..stores import UNITS, make_store, sample


def rows_of(store: Path) -> list[dict[str, Any]]:
    """Every row of every manifest, with its stage."""
    found = []
    for one in latest(store):
        for unit in committed_units(one.folder):
            found += [{"stage": one.stage, **row} for row in read_table(manifest_path(one.folder, unit)).to_pylist()]
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("truth") / "mixed", mixed=True)


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[Browser]:
    page = write_report(store, tmp_path_factory.mktemp("page")).page
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        browser.open(page)
        yield browser
        assert browser.console == [] and browser.dialogs == []


def counted(store: Path) -> dict[str, list[int]]:
    """By group in words: photographed and kept, and not; made and kept, and not; not made; people."""
    fates: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows_of(store):
        one = fates.setdefault((row["sample_id"], row["variant"]), {"row": row, "kept": True, "made": row["variant"] > 0})
        if row["status"] != "ok":
            one["kept"] = False
            one["made"] &= row["stage"] != "synth"
    groups: dict[str, Counter[str]] = {}
    people: dict[str, set[str]] = {}
    for (_, variant), one in fates.items():
        row = one["row"]
        label = row["label"]
        names = {"all", f"{label}: {row['attack_type']}" if row["attack_type"] else label}
        for name in names | ({"spoof, all"} if label == "spoof" else set()):
            kind = "photographed" if variant == 0 else "made" if one["made"] else "not made"
            groups.setdefault(name, Counter())[kind + (" kept" if one["kept"] else "")] += 1
            people.setdefault(name, set()).update({row["subject"]} if row["subject"] and not row["subject_is_pseudo"] else ())
    kinds = ("photographed kept", "photographed", "made kept", "made", "not made")
    return {name: [*(found[kind] for kind in kinds), len(people[name])] for name, found in groups.items()}


def test_totals_are_sums_of_the_manifests(store: Path) -> None:
    told = gather(store, collect(store)).totals
    mine = {
        group_name(one): [one[k][0] if i == 0 else sum(one[k][1:]) for k in KINDS[:2] for i in (0, 1)]
        + [sum(one["not made"]), one["people"]]
        for one in told["groups"]
    }
    assert mine == counted(store)
    assert list(mine) == ["live", "spoof, all", "spoof: mask", "spoof: print", "spoof: replay", "unknown", "all"]
    assert mine["all"] == [3 * 4, 3 * 2, 3 * 3, 3, 3, 2]
    assert (told["pseudo"], told["nobody"]) == (1, 3)


def cells(browser: Browser, table: str) -> list[list[str]]:
    code = f"[...document.querySelectorAll({table!r} + ' tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))"
    found: list[list[str]] = browser.run(code)
    return found


def test_the_first_page_has_the_same_figures(tab: Browser, store: Path) -> None:
    tab.go("#overview")
    want = counted(store)
    there = {row[0]: row[1:2] + row[3:] for row in cells(tab, "#composition")}
    assert there == {name: list(map(str, [sum(all_[:5]), *all_[:5], all_[5] or "–"])) for name, all_ in want.items()}
    whole, kept = want["all"], lambda name: str(want[name][0] + want[name][2])
    figures = tab.texts(".figures b")
    assert figures[:3] == [str(sum(whole[:5])), kept("all"), str(whole[1] + whole[3] + whole[4])]
    assert figures[3] == " · ".join(map(kept, ("live", "spoof, all", "unknown"))) and figures[4] == "2"
    assert "18 photographed, 12 made, 3 not made" in tab.texts(".figures span")[0]
    stages: dict[str, Counter[str]] = {}
    for row in rows_of(store):
        stages.setdefault(row["stage"], Counter())[row["status"]] += 1
    rows = {row[0]: row for row in cells(tab, "main section:nth-child(3)")}
    assert set(rows) == set(stages)
    for name, found in stages.items():
        assert rows[name][3] == str(found.total())
        assert rows[name][5:8] == [str(found[status]) for status in ("ok", "filtered", "failed")]
        assert float(rows[name][8].removesuffix(" %")) == pytest.approx(100 * found["ok"] / found.total(), abs=0.05)
    bar = tab.run("[...document.querySelectorAll('#composition tr:last-child .stack i')].map((each) => each.title)")
    assert bar == [f"{kept('all')} ok", "12 filtered"]


@pytest.mark.parametrize("column", ["brisque", "similarity"])
def test_histograms_and_drift_count_the_rows_with_a_value(tab: Browser, store: Path, column: str) -> None:
    want: dict[str, set[tuple[str, int]]] = {}
    for row in rows_of(store):
        if row.get(column) is not None:
            want.setdefault(row["label"], set()).add((row["sample_id"], row["variant"]))
    tab.go("#scores")
    choose = "(id, value) => { const s = document.getElementById(id); s.value = value; s.dispatchEvent(new Event('change')); }"
    tab.run(f"({choose})('score', {column!r})")
    tab.run(f"({choose})('group', 'label')")
    names = tab.texts(".multiples .name")
    each = "[...document.querySelectorAll('.multiples svg')].map((svg) => [...svg.querySelectorAll('%s')].map((one) => %s))"
    said = tab.run(each % ("title", "one.textContent"))
    tall = tab.run(each % (".bars", "Number(one.getAttribute('height'))"))
    assert len(names) == len(want)
    for name, titles, heights in zip(names, said, tall, strict=True):
        label, number = re.fullmatch(r"(\D+)(\d+) samples?", name).groups()  # type: ignore[union-attr]
        counts = [int(title.split()[0]) for title in titles]
        assert int(number) == sum(counts) == len(want[label])
        # A bar is as high as its count says.
        assert [height / max(heights) for height in heights] == pytest.approx([one / max(counts) for one in counts])
    whole = sum(map(len, want.values()))
    assert f"{whole} of the 33 samples shown have a value" in tab.texts("main section .soft")[0]
    points = tab.run("[...document.querySelectorAll('main svg .mark title, main svg .flag title')].map((t) => t.textContent)")
    assert sum(int(re.search(r"(\d+) samples", each)[1]) for each in points) == whole  # type: ignore[index]


def test_what_was_made_is_marked_and_stands_beside_its_face_and_guide(tab: Browser, store: Path) -> None:
    tab.go("#samples")
    tab.frame()
    assert tab.run("document.querySelectorAll('.tile .made').length") == 12
    assert tab.run("document.querySelectorAll('.tile .unmade').length") == 3
    assert any("not made" in text for text in tab.texts(".legend")) and any(
        "a photograph" in text for text in tab.texts(".legend")
    )
    tab.go(f"#sample/{sample(1, 1)}-1")
    mine, face, guide = tab.run("[...document.querySelectorAll('.origin figcaption')].map((each) => each.innerText)")
    assert (
        f"{sample(1, 1)}-1" in mine and "attack: print" in mine and "person: toy/1" in mine and "style: toy|cam|print" in mine
    )
    assert face.startswith("Face") and sample(1, 1) in face and "person: toy/1" in face
    assert guide.startswith("Guide") and sample(1, 3) in guide and "person not known" in guide
    tab.go(f"#sample/{sample(1, 0)}-1")
    *_, gone = tab.run("[...document.querySelectorAll('.origin figcaption')].map((each) => each.innerText)")
    assert gone.startswith("Guide") and "f" * 16 in gone
    tab.go(f"#sample/{sample(1, 3)}")
    assert "Made with this as their guide: 2" in tab.texts("#detail h3") and "photographed" in tab.texts("#detail .key")
    tab.go(f"#sample/{sample(1, 1)}")
    assert "Made of this face: 2" in tab.texts("#detail h3")
    # Of its own pictures the reconstruction alone.
    assert tab.run("document.querySelectorAll('#detail > .cells:nth-of-type(2) .made').length") == 1


def test_a_choice_is_carried_away_and_asked_for_again(tab: Browser, store: Path, tmp_path: Path) -> None:
    tab.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    tab.go("#samples")
    tab.run(
        "(() => { const s = document.getElementById('f-kind'); s.value = 'made'; s.dispatchEvent(new Event('change')); })()"
    )

    def saved(button: str, name: str) -> str:
        tab.key("e")
        tab.run(f"document.getElementById({button!r}).click()")
        tab.run("document.getElementById('export').close()")
        deadline = time.monotonic() + 20
        while not (tmp_path / name).exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return (tmp_path / name).read_text()

    want = {f"{row['sample_id']}-{row['variant']}" for row in rows_of(store) if row["stage"] == "synth_score"}
    names = saved("x-ids", "mixed-names.txt").split()
    assert set(names) == want and len(names) == 12
    rows = list(csv.DictReader(saved("x-csv", "mixed-samples.csv").splitlines()))
    assert {row["name"] for row in rows} == want and {row["kind"] for row in rows} == {"made"}
    assert {row["guides"] for row in rows if row["variant"] == "1"} == {"", *(sample(unit, 3) for unit in range(UNITS))}
    (line,) = saved("x-filter", "mixed-filter.txt").splitlines()
    asked = show(store, line, ["stage", "sample_id", "variant"], None).to_pylist()
    assert {f"{row['sample_id']}-{row['variant']}" for row in asked} == want
    # One that is picked goes before all that are shown.
    tab.run("document.getElementById('grid').focus()")
    tab.key("x")
    (tmp_path / "mixed-names.txt").unlink()
    (only,) = saved("x-ids", "mixed-names.txt").split()
    assert only in want and ", 1 picked" in tab.texts("#count")[0]
    tab.key("x")
    tab.key("Escape")


def test_the_verdict_claims_no_more_than_is_so(tmp_path: Path) -> None:
    whole = make_store(tmp_path / "whole")
    assert gather(whole, collect(whole)).verdict == "Every row is accounted for at every stage."
    stages = flow(whole, collect(whole).stages)
    empty = [one | {"ok": 0, "filtered": one["rows"]} if one["stage"] == "synth" else one for one in stages]
    told, well = verdict(empty)
    assert not well and "synth kept nothing" in told and "accounted" not in told
    told, well = verdict([one | {"rows": 0, "ok": 0} if one["stage"] == "score" else one for one in stages], ["pack"])
    assert not well and "Nothing came to score" in told and "Nothing is made yet at pack" in told
    discard(next(whole.glob("score-*")), 1)
    facts = gather(whole, collect(whole))
    assert not facts.well and "Not all units are made yet: score 2 of 3" in facts.verdict
    shutil.rmtree(next(whole.glob("align-*")))
    forget(whole, [one.name for one in whole.glob("align-*")])
    facts = gather(whole, collect(whole))
    assert not facts.well and "What was passed on to score, synth is not known" in facts.verdict


def test_another_generation_is_told_apart(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store")
    old = next(store.glob("align-*"))
    new = store / "align-12345678"
    shutil.copytree(old, new)
    plan = read_plan(old) | {"plan_hash": "12345678" + plan_hash("x")[8:], "config": {"limit": 7}}
    write_plan(new, plan)
    ledger = store / "runs" / "20260101-000000" / "ledger.jsonl"
    begin = '{"time": "2026-01-01T00:00:00.000+00:00", "event": "begin", "stages": {"align": {"plan_hash": "%s"}}}'
    ledger.write_text(begin % plan["plan_hash"] + "\n" + ledger.read_text())
    samples = collect(store)
    made = {one["stage"]: one for one in drawn(store, samples.stages, runs(store))}
    align = made["align"]
    assert (align["folder"], align["older"], align["before"]) == (new.name, [old.name], old.name)
    assert align["changed"] == [["config.limit", "5", "7"]] and align["runs"] == [["20260101-000000", UNITS]]
    assert made["score"]["runs"] == [] and made["score"]["older"] == []
    # What follows was made of the old one, and its rows are not held against the new one's.
    facts = gather(store, samples)
    score = next(one for one in facts.stages if one["stage"] == "score")
    assert score["behind"] == [old.name] and score["given"] is None and not facts.well
    assert any(one.startswith(f"score was made of {old.name}") for one in facts.warnings)
    page = write_report(store, tmp_path)
    short = page.short.read_text()
    assert "accounted for" not in short and "| 1 | config.limit |" in short
