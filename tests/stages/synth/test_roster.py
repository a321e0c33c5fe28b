"""The style plan: from manifests alone, within splits, of other people, balanced, with a reason where nothing is left."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.records import PROVENANCE
from fasgen.stages.synth.config import SynthConfig, attack_types, simulated_key
from fasgen.stages.synth.roster import draw, notes

FIELDS = ("sample_id", "unit", "row", "status", *(column.name for column in PROVENANCE))


def face(number: int, label: str = "live", **changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "sample_id": f"{number:016x}",
        "unit": number // 8,
        "row": number % 8,
        "status": "ok",
        "dataset": "d",
        "path": f"{number}.png",
        "label": label,
        "device": "cam",
        "licence": "research",
        "subject": f"d/{number}",
    }
    row = dict.fromkeys(FIELDS) | known | changes
    attack = row["attack_type"] or row["label"]
    return row | {"domain": f"{row['dataset']}|{row['device'] or '?'}|{attack}"}


def table(*rows: dict[str, Any]) -> dict[str, Any]:
    numbers = {"unit", "row"}
    return {name: np.array([row[name] for row in rows], np.int64 if name in numbers else object) for name in FIELDS}


def spoofs(first: int, attack: str, count: int, **changes: Any) -> list[dict[str, Any]]:
    return [face(first + i, "spoof", attack_type=attack, **changes) for i in range(count)]


def free(**changes: Any) -> SynthConfig:
    """Settings under which styles of toys, which no weights know, are taken."""
    return SynthConfig.model_validate({"unseen": "mark"} | changes)


def knowing(folder: Path, *styles: str, **changes: Any) -> SynthConfig:
    """Settings with weights that know some styles."""
    (folder / "style_encoder").mkdir(exist_ok=True)
    (folder / "style_encoder" / "config.json").write_text(json.dumps({"styles": ["live", *styles]}))
    return SynthConfig.model_validate({"weights": str(folder)} | changes)


def test_every_live_face_meets_each_attack_type_equally_often() -> None:
    rows = [face(i) for i in range(10)] + spoofs(20, "print", 3) + spoofs(30, "replay", 9) + spoofs(40, "mask", 1)
    entries = draw(table(*rows), free(variants=3), 0)
    assert len(entries) == 30
    for number in range(10):
        mine = [entry for entry in entries if entry["parent_ids"][0] == f"{number:016x}"]  # type: ignore[index]
        assert [entry["variant"] for entry in mine] == [1, 2, 3]
        assert {entry["attack_type"] for entry in mine} == {"print", "replay", "mask"}
    assert all(entry["label"] == "spoof" and entry["style_subject"] for entry in entries)
    assert all(entry["domain"] == entry["style"] for entry in entries)


def test_no_style_comes_twice_before_every_other_has_come() -> None:
    rows = [face(0), *spoofs(20, "mask", 2)]
    rows += [one for i, device in enumerate("abcd") for one in spoofs(30 + 4 * i, "print", 2, device=device)]
    entries = draw(table(*rows), free(variants=7), 0)
    keys = [entry["style"] for entry in entries]
    assert len(set(keys[:5])) == 5 and "d|cam|mask" in keys[:2] and len(keys) == 7


def test_the_same_seed_gives_the_same_plan_whatever_else_is_there() -> None:
    lives, attacks = [face(i) for i in range(6)], spoofs(20, "print", 5) + spoofs(30, "replay", 5)
    whole = draw(table(*lives, *attacks), free(variants=2), 1)
    fewer = draw(table(*lives[:3], *attacks), free(variants=2), 1)
    assert [e for e in whole if e["row"] in (0, 1, 2)] == fewer
    assert draw(table(*lives, *attacks), free(variants=2), 2) != whole


def test_guides_keep_to_the_split_and_to_other_people() -> None:
    rows = [
        face(0, split="train", subject="d/ann"),
        face(1, split="test", subject="d/ben"),
        face(2, "spoof", attack_type="print", split="train", subject="d/ann"),
        face(3, "spoof", attack_type="print", split="train", subject="d/cid"),
        face(4, "spoof", attack_type="print", split="test", subject="d/ben"),
    ]
    train, test = draw(table(*rows), free(), 0)
    assert train["guide_row"] == 3 and train["style_subject"] == "d/cid" and train["split"] == "train"
    assert test["reason"] == "guide" and "split test" in str(test["detail"]) and test["variant"] == 1


def test_places_do_not_move_when_a_face_is_not_found() -> None:
    attacks = spoofs(20, "print", 3)
    found = draw(table(*[face(i) for i in range(4)], *attacks), free(variants=2), 0)
    lost = draw(table(*[face(i, status="filtered" if i == 1 else "ok") for i in range(4)], *attacks), free(variants=2), 0)
    assert lost == [entry for entry in found if entry["row"] != 1]
    assert [entry["place"] for entry in lost] == [0, 1, 4, 5, 6, 7]


def test_plans_choose_among_the_styles() -> None:
    ann = face(0, subject="d/ann")
    attacks = [
        face(2, "spoof", attack_type="print", subject="d/ann"),
        face(3, "spoof", attack_type="print", subject="d/cid"),
        face(4, "spoof", attack_type="replay", subject="d/cid"),
        face(5, "spoof", attack_type="print", dataset="e", device="x", subject="e/1"),
        face(6, "spoof", attack_type="mask", dataset="e", device="x", subject="e/1"),
    ]

    def styles(plan: str) -> set[Any]:
        config = free(variants=8, plan=plan)
        return {entry["style"] for entry in draw(table(ann, *attacks), config, 0)}

    own, other = {"d|cam|print", "d|cam|replay"}, {"e|x|print", "e|x|mask"}
    assert styles("all") == own | other and styles("balanced") == own | other
    assert styles("cross_domain") == other
    assert styles("cross_attack") == {"d|cam|replay", "e|x|mask"}
    assert styles("fill") == {"d|cam|replay"}
    only = draw(table(ann, *attacks), free(variants=8, styles=("e|*",)), 0)
    assert {entry["style"] for entry in only} == other


def test_simulated_styles_are_those_that_the_weights_know(tmp_path: Path) -> None:
    rows = table(*[face(i) for i in range(5)])
    (tmp_path / "style_encoder").mkdir()
    only = simulated_key("print")
    (tmp_path / "style_encoder" / "config.json").write_text(json.dumps({"styles": ["live", only]}))
    config = SynthConfig(variants=2, weights=str(tmp_path))
    assert {entry["style"] for entry in draw(rows, config, 0)} == {only}
    assert len({entry["style"] for entry in draw(rows, free(variants=2, weights=str(tmp_path)), 0)}) > 1


def test_without_attacks_styles_are_simulated_on_other_people() -> None:
    rows = table(*[face(i) for i in range(5)])
    entries = draw(rows, free(variants=2), 0)
    assert len(entries) == 10
    for entry in entries:
        assert entry["style"] == simulated_key(str(entry["simulation"])) and entry["device"] == "simulated"
        assert entry["guide_row"] != entry["row"] and entry["attack_type"] in set(attack_types().values())
    physical = draw(rows, free(variants=2, method="physical"), 0)
    assert len(physical) == 10
    assert all("guide_row" not in entry and entry["style_subject"] is None and entry["simulation"] for entry in physical)


@pytest.mark.parametrize(
    ("config", "rows", "reason", "words"),
    [
        (free(pool="real"), [face(0)], "no_style", "synth.pool real"),
        (free(pool="real", styles=("x|*",)), [face(0), *spoofs(1, "print", 2)], "no_style", "d|cam|print"),
        (free(pool="real"), [face(0), *spoofs(1, "print", 2, status="filtered")], "guide", "none of its 2 pictures"),
        (free(plan="fill"), [face(0), *spoofs(1, "print", 2, dataset="e")], "no_style", "synth.plan fill"),
    ],
)
def test_nothing_left_is_a_row_with_a_reason(config: SynthConfig, rows: list[Any], reason: str, words: str) -> None:
    (entry,) = draw(table(*rows), config, 0)
    assert entry["reason"] == reason and words in str(entry["detail"]) and entry["parent_ids"] == [rows[0]["sample_id"]]


def test_licences_of_both_parents_travel() -> None:
    rows = [face(0, licence="consent"), face(1, "spoof", attack_type="print", licence="research")]
    (entry,) = draw(table(*rows), free(), 0)
    assert entry["licence"] == "consent + research"


@pytest.mark.parametrize(
    ("of_face", "of_guide", "meet"),
    [
        ("train", "train", True),
        ("train", None, True),
        (None, "train", True),
        (None, None, True),
        ("test", None, False),
        ("dev", None, False),
        (None, "test", False),
        (None, "dev", False),
        ("train", "test", False),
        ("test", "train", False),
        ("dev", "test", False),
        ("test", "test", True),
    ],
)
def test_what_has_no_split_counts_as_training_material(of_face: str | None, of_guide: str | None, meet: bool) -> None:
    rows = [face(0, split=of_face), face(1, "spoof", attack_type="print", split=of_guide, dataset="e")]
    (entry,) = draw(table(*rows), free(), 0)
    if meet:
        assert entry["guide_row"] == 1 and entry["split"] == of_face
    else:
        assert entry["reason"] == "guide" and "that may serve split" in str(entry["detail"])


def test_styles_that_the_weights_do_not_know_are_left_out(tmp_path: Path) -> None:
    rows = table(*[face(i) for i in range(8)], *spoofs(20, "print", 3), *spoofs(30, "mask", 3))
    config = knowing(tmp_path, "d|cam|print", simulated_key("replay_phone"), variants=2)
    entries = draw(rows, config, 0)
    assert len(entries) == 16 and {entry["style"] for entry in entries} == {"d|cam|print"}
    (note,) = notes(rows, config)
    assert "(d|cam|mask)" in note and "simulated" not in note and "fasgen train style" in note
    assert not notes(rows, knowing(tmp_path, "d|cam|print", "d|cam|mask")) and not notes(rows, free())


def test_where_no_style_is_known_auto_takes_simulated_ones_and_says_so(tmp_path: Path) -> None:
    rows = table(*[face(i) for i in range(4)], *spoofs(20, "print", 3), *spoofs(30, "mask", 3))
    config = knowing(tmp_path, simulated_key("replay_phone"))
    entries = draw(rows, config, 0)
    assert len(entries) == 4 and all(entry["simulation"] == "replay_phone" and "guide_row" in entry for entry in entries)
    (note,) = notes(rows, config)
    assert "(d|cam|mask, d|cam|print)" in note and "simulated styles are made in their place" in note
    # Real ones alone were asked for: nothing is made in their place, and each face says why.
    real = draw(rows, knowing(tmp_path, pool="real"), 0)
    assert [entry["reason"] for entry in real] == ["unknown_style"] * 4 and "d|cam|mask" in str(real[0]["detail"])
    assert not notes(rows, knowing(tmp_path, pool="real"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["live", "spoof", "unknown"]),
            st.sampled_from(["ok", "filtered"]),
            st.sampled_from([None, "ann", "ben", "cid"]),
            st.sampled_from([None, "train", "dev", "test"]),
            st.sampled_from(["print", "replay"]),
        ),
        max_size=24,
    ),
    st.integers(1, 5),
    st.sampled_from(["balanced", "all", "cross_domain", "cross_attack", "fill"]),
    st.sampled_from(["auto", "real", "simulated", "both"]),
)
def test_invariants(faces: list[Any], variants: int, plan: str, pool: str) -> None:
    rows = [
        face(i, label, status=status, subject=subject, split=split, attack_type=attack if label == "spoof" else None)
        for i, (label, status, subject, split, attack) in enumerate(faces)
    ]
    entries = draw(table(*rows), free(variants=variants, plan=plan, pool=pool), 3)
    by_id = {row["sample_id"]: row for row in rows}
    planned = {row["sample_id"] for row in rows if row["label"] == "live" and row["status"] == "ok"}
    assert {entry["parent_ids"][0] for entry in entries} == planned  # type: ignore[index]
    keys = [(entry["unit"], entry["row"], entry["variant"]) for entry in entries]
    places = Counter((entry["unit"], entry["place"]) for entry in entries)
    assert len(set(keys)) == len(keys) and set(places.values()) <= {1}
    for entry in entries:
        if entry.get("reason"):
            continue
        parent, guide = (by_id[name] for name in entry["parent_ids"])  # type: ignore[union-attr]
        assert guide["sample_id"] != parent["sample_id"] and guide["status"] == "ok"
        assert entry["split"] == parent["split"]
        training = {None, "train"}
        assert guide["split"] == parent["split"] or {guide["split"], parent["split"]} <= training
        assert parent["subject"] is None or guide["subject"] != parent["subject"]
        assert guide["label"] == ("live" if entry["simulation"] else "spoof")
