"""Ranks share one plan, and what they learn together is what one learns alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from fasgen.downstream.config import Experiment
from fasgen.downstream.sampling import RankShare, training_sampler
from fasgen.errors import ConfigError
from fasgen.reader import Draw, SampleTable

ROOT = Path(__file__).resolve().parents[2]


def people(count: int) -> SampleTable:
    """Two data sets of so many people, each with three live, three photographed and two synthetic spoofs."""
    metas: list[dict[str, Any]] = []
    for dataset in "ab":
        for person in range(count):
            for label, synthetic, samples in ((1, False, 3), (0, False, 3), (0, True, 2)):
                for _ in range(samples):
                    metas.append({"sample_id": f"{len(metas):04x}", "dataset": dataset, "subject": f"{dataset}/{person}"})
                    metas[-1] |= {"label_index": label, "synthetic": synthetic}
    return SampleTable.of_metas(metas)


def dlif(subjects: int, synthetic: float | None = 0.5) -> Experiment:
    tree = {
        "data": {"shards": ["x"]},
        "method": "dlif",
        "model": {"backbone": "resnet18-tiny"},
        "dlif": {"subjects": subjects, "live": 2, "spoof": 2},
        "synthetic": synthetic,
    }
    return Experiment.model_validate_json(json.dumps(tree))


@given(st.integers(1, 3), st.integers(1, 3), st.integers(0, 3), st.integers(0, 30))
def test_the_ranks_of_dlif_share_the_subjects_of_one_plan(each: int, world: int, spare: int, step: int) -> None:
    table, one = people(each * world + spare), dlif(each * world)
    parts = [next(iter(training_sampler(one, table, 3, step, rank, world))) for rank in range(world)]
    whole = next(iter(training_sampler(one, table, 3, step)))
    assert Counter(d for part in parts for d in part) == Counter(whole)
    subjects = [{table.subject[d.number] for d in part} for part in parts]
    assert sum(map(len, subjects)) == len(set().union(*subjects)) == 2 * each * world
    assert all(len(part) == 2 * each * 4 for part in parts)


def test_the_share_reaches_the_batches_of_dlif() -> None:
    table = people(4)

    def made(synthetic: float | None) -> set[bool]:
        draws: list[Draw] = next(iter(training_sampler(dlif(4, synthetic), table, 0)))
        return {bool(table.synthetic[d.number]) for d in draws if table.label[d.number] == 0}

    assert made(0.5) == {True, False} and made(0.0) == {False} and made(1.0) == {True}


def test_what_ranks_cannot_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"dlif\.subjects is 3, which 2 ranks"):
        training_sampler(dlif(3), people(4), 0, 0, 1, 2)
    fas = Experiment.model_validate_json(json.dumps({"data": {"shards": ["x"]}, "loop": {"batch": 6}}))
    with pytest.raises(ConfigError, match=r"loop\.batch is 6, which 4 ranks"):
        training_sampler(fas, people(2), 0, 0, 1, 4)
    assert isinstance(training_sampler(dlif(4), people(4), 0, 0, 1, 2), RankShare)


def test_two_ranks_train_what_one_trains_alone(three: Path, tmp_path: Path) -> None:
    # Layer norms and a mean over samples: gradients of two halves average to those of the whole, up to rounding.
    tree: dict[str, Any] = {
        "data": {"shards": [str(three)], "size": 32, "keep": True, "degrees": 10},
        "protocol": {"targets": ["c"]},
        "model": {"use": "image", "backbone": "vit-tiny", "embedding": 16},
        "loss": {"kind": "softmax"},
        "loop": {"steps": 4, "batch": 16, "lr": 1e-3, "warmup": 0, "optimiser": "sgd", "threads": 1},
        "scoring": {"bootstrap": 0},
    }
    code = (
        "import json, sys, torch; from fasgen.downstream.config import Experiment; "
        "from fasgen.downstream.train import run_experiments; one = Experiment.model_validate_json(sys.argv[1]); "
        "print(len(run_experiments({'x': one}, torch.device('cpu'), print)[1]))"
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    ends = []
    for world in (1, 2):
        given_ = json.dumps({**tree, "out": str(tmp_path / str(world))})
        ranks = [
            subprocess.Popen(
                [sys.executable, "-c", code, given_],
                env={
                    **os.environ,
                    **{"RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
                },
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
            for rank in range(world)
        ]
        said = [rank.communicate(timeout=120)[0].split("\n") for rank in ranks]
        assert [rank.returncode for rank in ranks] == [0] * world
        assert said[0][-2] == "1" and all(lines == ["0", ""] for lines in said[1:])
        [weights] = (tmp_path / str(world)).rglob("final/model.safetensors")
        ends.append(load_file(weights))
    start = ends[0].keys()
    assert start == ends[1].keys()
    for name in start:
        assert torch.allclose(ends[0][name], ends[1][name], atol=1e-5), name
