"""Clusters become the subjects of samples that have none, for tables, protocols and DLIF."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from fasgen.downstream.config import Experiment
from fasgen.downstream.data import Shards
from fasgen.downstream.identities import Identities
from fasgen.downstream.protocols import folds
from fasgen.downstream.tasks import build_task
from fasgen.errors import ConfigError, SourceError
from fasgen.reader import SampleTable

METAS: list[dict[str, Any]] = [
    {"sample_id": "1", "label_index": 1},
    {"sample_id": "2", "label_index": 0},
    {"sample_id": "3", "label_index": 1, "subject": "d/anna"},
    {"sample_id": "4", "label_index": 1, "subject": "d/clip7", "subject_is_pseudo": True},
    {"sample_id": "5", "label_index": 0, "synthetic": True, "synthesis": {"parent_ids": ["1", "2"]}, "style_subject": "2"},
    {"sample_id": "6", "label_index": 0, "synthetic": True, "synthesis": {"parent_ids": ["3", "3"]}, "style_subject": "d/anna"},
    {"sample_id": "7", "label_index": 1, "subject": "d/clip8", "subject_is_pseudo": True},
]


def test_subjects_are_kept_and_others_get_their_cluster() -> None:
    identities = Identities({"1": "cluster/1", "2": "cluster/2", "3": "d/anna", "4": "cluster/1"})
    table = identities.join(SampleTable.of_metas(METAS), METAS)
    assert table.subject.tolist() == ["cluster/1", "cluster/2", "d/anna", "cluster/1", "cluster/1", "d/anna", "d/clip8"]
    assert table.style_subject.tolist() == ["", "", "", "", "cluster/2", "d/anna", ""]
    assert table.sample_id.tolist() == [meta["sample_id"] for meta in METAS]


def test_identities_of_other_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="names none of the 4 samples"):
        Identities({"x": "cluster/x"}).join(SampleTable.of_metas(METAS), METAS)


def test_what_is_no_table_of_identities_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "i.parquet"
    with pytest.raises(SourceError, match="cannot be read"):
        Identities.read(path)
    pq.write_table(pa.table({"sample_id": ["a"], "cluster": ["b"]}), path)
    with pytest.raises(SourceError, match="no column identity"):
        Identities.read(path)
    pq.write_table(pa.table({"sample_id": ["a", "a"], "identity": ["b", "c"]}), path)
    with pytest.raises(SourceError, match="names a sample twice"):
        Identities.read(path)


def test_dlif_learns_from_people_whom_nobody_named(
    sample: Callable[..., Any], pack: Callable[..., Path], tmp_path: Path
) -> None:
    samples = [sample(d, "", label, n) for d in "abc" for label in (1, 0) for n in range(6)]
    shards = pack(tmp_path / "p", samples)
    ids = [str(record["sample_id"]) for record, _ in samples]
    people = [f"cluster/{name[0]}{int(name[-1]) % 3}" for name in ids]
    pq.write_table(pa.table({"sample_id": ids, "identity": people}), tmp_path / "i.parquet")
    tree: dict[str, Any] = {
        "method": "dlif",
        "data": {"shards": [str(shards)], "size": 32},
        "protocol": {"targets": ["c"]},
        "model": {"backbone": "resnet18-tiny"},
        "dlif": {"subjects": 2, "live": 1, "spoof": 1},
    }
    without = Experiment.model_validate_json(json.dumps(tree))
    table = Shards(without.data, cues=False).table
    with pytest.raises(ConfigError, match="samples with labels"):
        next(
            build_task(without, Shards(without.data, False), folds(table, without.protocol)[0], 0, torch.device("cpu")).batches(
                0, 0, 1
            )
        )
    one = Experiment.model_validate_json(
        json.dumps({**tree, "data": {**tree["data"], "identities": str(tmp_path / "i.parquet")}})
    )
    shards_ = Shards(one.data, cues=False)
    [fold] = folds(shards_.table, one.protocol)
    task = build_task(one, shards_, fold, 0, torch.device("cpu"))
    loss, parts = task.loss(task.module, next(task.batches(0, 0, 1)), 0)
    assert torch.isfinite(loss) and task.net.d.shape[0] == 6 and parts["id"] > 0  # type: ignore[union-attr,operator]
    [grouped] = folds(shards_.table, one.protocol.model_copy(update={"by": "subject", "targets": ("cluster/c1",)}))
    assert set(grouped.test.subject) == {"cluster/c1"} and "cluster/c1" not in set(grouped.train.subject)
