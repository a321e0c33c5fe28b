"""Identities of photographs whose data sets name no subjects: one table beside their embeddings, and a report.

A cluster needs every embedding at once, and a stage sees one batch of one unit: what it would say of a sample would depend on
which other samples happen to be there, so that no unit could be made, resumed or believed alone. A roster does not help
either: it is drawn from rows before there are embeddings, and what it decides enters the plans below. So clustering is no
stage. It reads a whole generation after the fact, changes nothing of it, and writes a table that readers join by sample id;
made again, it is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.parquet import encode_table
from fasgen.manifests.products import EMBEDDING, maker_of
from fasgen.manifests.unit import canonical_json, committed_units
from fasgen.manifests.unit_reader import UnitReader

_WORDS = ("sample_id", "dataset", "subject", "label")


@dataclass(frozen=True, slots=True)
class Embedded:
    """The photographs of a generation that have an embedding, in order of unit and row.

    Attributes:
        generation: name of its folder.
        sample_id, dataset, label: (N,) text.
        subject: (N,) text; None where the data set has none, or a stand-in for a clip.
        embeddings: (N, D) float32, of unit length.
    """

    generation: str
    sample_id: tuple[str, ...]
    dataset: tuple[str, ...]
    label: tuple[str, ...]
    subject: tuple[str | None, ...]
    embeddings: NDArray[np.float32]


def read_embedded(store: Path, datasets: Sequence[str] = ()) -> Embedded:
    """The embeddings of a store's photographs, of the current generation of them.

    Args:
        store: the store.
        datasets: names of sources; empty for all.

    Raises:
        StoreError: no embedding is committed, none of these sources, or a unit is damaged.
    """
    made = maker_of(store, EMBEDDING)
    units = committed_units(made.folder) if made else []
    if made is None or not units:
        raise StoreError(f"{store}: no embedding is committed yet: fasgen run")
    folder = made.folder
    words: dict[str, list[Any]] = {name: [] for name in _WORDS}
    vectors: list[NDArray[np.float32]] = []
    for unit in units:
        reader = UnitReader(folder, unit)
        for row in reader.rows:
            if row["status"] != "ok" or row["variant"] or (datasets and row["dataset"] not in datasets):
                continue
            vectors.append(np.asarray(reader.array(int(str(row["row"])), EMBEDDING), np.float32))
            for name in _WORDS:
                words[name].append(row[name])
            if row.get("subject_is_pseudo"):
                words["subject"][-1] = None
    if not vectors:
        among = f" among {', '.join(datasets)}" if datasets else ""
        raise StoreError(f"{folder}: has no face with an embedding{among}")
    sample, dataset, subject, label = (tuple(words[name]) for name in _WORDS)
    return Embedded(folder.name, sample, dataset, label, subject, np.stack(vectors))


def write_identities(store: Path, embedded: Embedded, clusters: NDArray[np.int64], report: Mapping[str, Any]) -> Path:
    """Write ``identities/<generation>.parquet``, and the report beside it as JSON.

    Columns: sample_id; dataset; subject, null where it is not known; cluster, ``cluster/`` and the least sample id in it, so
    that a cluster that does not change keeps its name; identity, the subject where there is one and else the cluster; size of
    the cluster; similarity, the cosine of the embedding to the cluster's mean.

    Args:
        store: the store.
        embedded: the photographs.
        clusters: (N,) numbers from 0.
        report: settings and figures.

    Returns:
        the table's path.

    Raises:
        StoreError: it cannot be written.
    """
    import pyarrow as pa

    count = int(clusters.max()) + 1
    least: list[str] = [""] * count
    for number, sample in sorted(zip(clusters.tolist(), embedded.sample_id, strict=True), reverse=True):
        least[number] = sample
    names = [f"cluster/{least[number]}" for number in clusters.tolist()]
    sums = np.zeros((count, embedded.embeddings.shape[1]), np.float64)
    np.add.at(sums, clusters, embedded.embeddings)
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    table = pa.table(
        {
            "sample_id": pa.array(embedded.sample_id, pa.string()),
            "dataset": pa.array(embedded.dataset, pa.string()),
            "subject": pa.array(embedded.subject, pa.string()),
            "cluster": pa.array(names, pa.string()),
            "identity": pa.array([s or c for s, c in zip(embedded.subject, names, strict=True)], pa.string()),
            "size": pa.array(np.bincount(clusters)[clusters], pa.int32()),
            "similarity": pa.array(np.einsum("ij,ij->i", embedded.embeddings, means[clusters]), pa.float32()),
        }
    )
    path = store / "identities" / f"{embedded.generation}.parquet"
    try:
        write_atomic(path, encode_table(table))
        write_atomic(path.with_suffix(".json"), canonical_json(dict(report)) + b"\n")
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror}): free space, or mend its permissions") from error
    return path
