"""Each way in to an experiment: people, networks behind crops, cues and synthetic samples, and what a backbone begins from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from fasgen.cli import main
from fasgen.downstream.config import Experiment
from fasgen.downstream.data import Shards
from fasgen.downstream.leaks import leaks
from fasgen.downstream.protocols import folds
from fasgen.downstream.train import run_experiments
from fasgen.errors import ConfigError
from fasgen.seen import NAME, NETWORKS, Network, Seen, digest, encode, encode_networks, read_seen
from tests.downstream.conftest import sample, write

CPU = torch.device("cpu")
TARGET = "b"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """Two data sets of two people each, and synthetic spoofs of those of the first, one of them in the style of the second."""
    made = [sample(d, s, label, n) for d in "ab" for s in ("s1", "s2") for label in (1, 0) for n in range(3)]
    made += [sample("a", "s1", 0, 7, synthetic=True), sample("a", "s2", 0, 8, synthetic=True)]
    made[-1][0]["style_subject"] = "b/s1"
    folder = write(tmp_path / "store" / "pack-12345678", _again(made))
    (folder / NETWORKS).write_bytes(encode_networks([]))
    return folder


def _again(made: list[Any]) -> list[Any]:
    import json

    return [(record, {**members, "json": json.dumps(record).encode()}) for record, members in made]


def target_ids() -> list[str]:
    return [f"b-{s}-{label}-{n}" for s in ("s1", "s2") for label in (1, 0) for n in range(3)]


def knows(*, samples: int = 0, people: int = 0) -> Seen:
    return Seen(
        "x",
        ("b",),
        frozenset(map(digest, target_ids()[:samples])),
        frozenset(digest(f"b/s{n + 1}") for n in range(people)),
    )


def experiment(shards: Path, out: Path, **more: Any) -> Experiment:
    tree: dict[str, Any] = {
        "out": str(out),
        "data": {"shards": (shards,), "size": 32, "cues": ("residual",)},
        "protocol": {"targets": (TARGET,)},
        "model": {"use": "cue", "backbone": "resnet18-tiny", "embedding": 8},
        "loop": {"steps": 1, "batch": 8, "warmup": 0},
        "scoring": {"bootstrap": 0},
    }
    for key, value in more.items():
        tree[key] = {**tree.get(key, {}), **value} if isinstance(value, dict) else value
    return Experiment.model_validate(tree)


def said(one: Experiment) -> list[str]:
    (fold,) = folds(Shards(one.data, True).table, one.protocol)
    return leaks(one, fold)


@pytest.mark.parametrize(
    ("network", "settings", "known"),
    [
        (Network("align", "mtcnn", "crop", (), knows(people=1)), {"model": {"use": "image"}}, True),
        (Network("defake", "generator", "photograph", ("residual",), knows(samples=2)), {}, True),
        (Network("defake", "generator", "photograph", ("residual",), knows(samples=2)), {"model": {"use": "image"}}, False),
        (Network("lgsc", "weights", "photograph", ("lgsc",), knows(samples=2)), {}, False),
        (Network("identify", "weights", "photograph", (), knows(samples=2)), {}, True),
        (Network("synth", "difffas", "synthetic", (), knows(samples=2)), {}, False),
        (Network("synth", "difffas", "synthetic", (), knows(samples=2)), {"synthetic": 0.5}, True),
        (Network("screen", "style", "synthetic", (), knows(people=2)), {"synthetic": 0.5, "model": {"use": "image"}}, True),
        (Network("defake", "generator", "photograph", ("residual",), None), {}, True),
        (Network("defake", "x", "photograph", ("residual",), Seen("y", ("c",), parents={"p": knows(people=1)})), {}, True),
    ],
)  # fmt: skip
def test_networks_that_bear_on_a_run(
    shards: Path, tmp_path: Path, network: Network, settings: dict[str, Any], known: bool
) -> None:
    (shards / NETWORKS).write_bytes(encode_networks([network]))
    found = said(experiment(shards, tmp_path / "out", **settings))
    assert [sentence.startswith(network.name) for sentence in found] == [True] * known


def test_shards_of_which_nothing_is_said(shards: Path, tmp_path: Path) -> None:
    (shards / NETWORKS).unlink()
    (sentence,) = said(experiment(shards, tmp_path / "out"))
    assert "nothing says which networks are behind its shards" in sentence


def test_what_a_backbone_begins_from(shards: Path, tmp_path: Path) -> None:
    weights = tmp_path / "begun" / "model.safetensors"
    weights.parent.mkdir()
    save_file({"x": torch.zeros(1)}, weights)
    one = experiment(shards, tmp_path / "out", model={"pretrained": weights})
    assert said(one) == [f"model.pretrained does not say what it has seen (no {NAME} beside it)"]
    (weights.parent / NAME).write_bytes(encode(Seen("ImageNet", ("ImageNet",))))
    assert said(one) == []


def test_people_on_both_sides(shards: Path, tmp_path: Path) -> None:
    one = experiment(shards, tmp_path / "out", protocol={"kind": "folds", "folds": 3, "targets": ()})
    found = [sentence for fold in folds(Shards(one.data, True).table, one.protocol) for sentence in leaks(one, fold)]
    assert found and all("tested people are trained on" in sentence for sentence in found)


def test_all_is_said_before_training_and_strict_refuses(shards: Path, tmp_path: Path) -> None:
    behind = Network("defake", "generator", "photograph", ("residual",), knows(samples=2, people=1))
    (shards / NETWORKS).write_bytes(encode_networks([behind]))
    one, heard = experiment(shards, tmp_path / "out"), list[str]()
    with pytest.raises(
        ConfigError, match=r"--strict: x, leave out b: defake \(generator\) has learnt from 2 of the 12 .*1 more"
    ):
        run_experiments({"x": one}, CPU, heard.append, strict=True)
    assert not list((tmp_path / "out").rglob("run.json")), "nothing was trained"
    assert sum("x, leave out b: leak: defake" in line for line in heard) == 2
    assert "x, leave out b: left out 1 samples, synthetic, made from people or pictures that are held out" in heard

    run_experiments({"x": one}, CPU, heard.append)
    (run,) = (tmp_path / "out").rglob("final")
    seen = read_seen(run)
    assert seen is not None and seen.datasets == ("a",) and seen.parents == {"defake (generator)": behind.seen}
    assert seen.subjects == {digest("a/s1"), digest("a/s2")} and len(seen.samples or ()) == 12

    # Whoever tests those scores elsewhere hears the same of the network, and of the one behind its cue.
    scores = str(next((tmp_path / "out").rglob("seed-0/scores.csv")))
    told = CliRunner().invoke(main, ["eval", scores, "--bootstrap", "0", "--weights", str(run)])
    assert told.exit_code == 0
    assert "leak: " + str(run) + ", by its defake (generator), has learnt from 2 of the 12 tested samples" in told.stderr
    refused = CliRunner().invoke(main, ["eval", scores, "--bootstrap", "0", "--weights", str(shards), "--strict"])
    assert refused.exit_code == 2 and "--strict" in refused.stderr
    assert CliRunner().invoke(main, ["eval", scores, "--strict"]).exit_code == 2
