"""Each way in by weights: what a training saw is written beside it, and named by whoever tests on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fasgen.audit.verify import verify
from fasgen.manifests.plan_file import read_plan, write_plan
from fasgen.manifests.seen_file import note_seen, seen_by
from fasgen.seen import NAME, Seen, Target, digest, encode, overlaps, read_seen
from fasgen.stages.gallery import train_simulation
from fasgen.training.config import trainings
from fasgen.training.launch import build_task
from fasgen.training.loop import train
from tests.leaks.toy import PEOPLE, lay_by_hand, of, split_store
from tests.stages.gallery.toy import toy_physical
from tests.training.every import TRAINED

EVE = Target.of([(one, "toy/eve", "toy") for one in of("eve")])


def trained(name: str, store: Path, out: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Path:
    monkeypatch.setattr(train_simulation, "physical", toy_physical)
    settings, _ = TRAINED[name]
    config: Any = settings(store, out)
    parts: dict[str, Any] = {"steps": 1, "faces": {**dict(config.faces), "holdout": (), "holdout_share": 0}}
    if hasattr(config, "pairs"):
        parts["pairs"] = {"path": store, "holdout_share": 0}
    config = type(config).model_validate(config.model_dump() | parts | more)
    task = build_task(trainings()[name], config, torch.device("cpu"))
    return train(task, config, torch.device("cpu"), name=name)


@pytest.mark.parametrize("name", trainings())
def test_a_training_says_what_it_saw(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = split_store(tmp_path / "store")
    seen = read_seen(trained(name, store, tmp_path / "out", monkeypatch, where="sharpness < 9"))
    assert seen is not None and seen.samples is not None and seen.training == name
    people = {person for person, split in PEOPLE.items() if split in ("train", None)}
    assert seen.subjects == {digest(f"toy/{person}") for person in people}
    live_alone = name in ("identity", "autoencoder", "dfg")
    assert len(seen.samples) == (8 if live_alone else 16) and seen.samples <= {digest(one) for p in people for one in of(p)}
    assert (seen.datasets, seen.unlisted, seen.where) == (("toy",), 0, "sharpness < 9")
    assert seen.attack_types == (("live",) if live_alone else ("live", "print")) and set(seen.splits) == {"train", ""}
    # Nothing of eve came in by rows. By parents: tests' style encoder is made of nothing and has no record.
    said = list(overlaps(name, seen, EVE))
    assert said == (
        [f"difffas, by its style encoder, does not say what it has seen (no {NAME} beside it)"] if name == "difffas" else []
    )


def test_a_parent_that_saw_who_is_tested_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = split_store(tmp_path / "store")
    parent = trained("autoencoder", store, tmp_path / "parent", monkeypatch, splits=["test"])
    shape = {"faces": {"path": store, "size": 32, "holdout_share": 0}, "autoencoder": str(parent)}
    child = trained("dfg", store, tmp_path / "child", monkeypatch, **shape)
    said = list(overlaps("defake", read_seen(child), EVE))
    assert said == [
        f"defake, by its autoencoder, has learnt from 2 of the 4 tested samples, such as {min(of('eve'))}",
        "defake, by its autoencoder, has learnt from 1 of the 1 tested people, such as toy/eve",
    ]


def test_verify_names_networks_that_saw_what_is_tested(tmp_path: Path) -> None:
    store = split_store(tmp_path / "store")
    (folder,) = store.glob("align-*")
    weights = tmp_path / "weights"
    weights.mkdir()
    (weights / "model.safetensors").write_bytes(b"x")
    write_plan(folder, read_plan(folder) | {"weights": {"net": "ab" * 32}})

    def said(strict: bool = False) -> list[tuple[str, str, str]]:
        found = verify(store, strict)
        return [
            (f.severity, f.where.rpartition(": ")[2], f.what) for f in found if "side of" in f.where or "split test" in f.where
        ]

    assert said() == [("warning", "split test", f"align (net) does not say what it has seen (no {NAME} beside it)")]
    (weights / NAME).write_bytes(encode(Seen("x", ("toy",), frozenset(map(digest, of("ann"))), frozenset({digest("toy/eve")}))))
    note_seen(store, {"ab" * 32: weights})
    assert seen_by(store, "ab" * 32) == read_seen(weights)
    person = "align (net) has learnt from 1 of the 1 tested people, such as toy/eve"
    assert said() == [("warning", "split test", person)]
    lay_by_hand(store, "mine-1", {"train": ["eve"], "test": ["ann"]})
    samples = f"align (net) has learnt from 4 of the 4 tested samples, such as {min(of('ann'))}"
    assert said(strict=True) == [("error", "split test", person), ("error", "test side of mine-1", samples)]
