"""The labels of all samples as columns, which samplers and protocols cut up without reading a pixel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasgen.errors import ConfigError
from fasgen.reader.decode import UNKNOWN
from fasgen.reader.index import FasIndex

Words = NDArray[np.object_]

KEYS = ("dataset", "domain", "subject", "style_subject", "attack_type", "device", "split", "path", "video")
"""Columns of text; a value that is not known is an empty text."""


@dataclass(frozen=True, slots=True)
class SampleTable:
    """Columns of N samples.

    Attributes:
        number: (N,) int64, number of the sample in its index.
        sample_id: (N,) text.
        label: (N,) int64: 1 live, 0 spoof, -1 unknown.
        synthetic: (N,) bool, generated rather than photographed.
        frame: (N,) int64, frame of the video; -1 for a still.
        brisque: (N,) float64; NaN where it was not measured.
        variant: (N,) int64, number of the variant; 0 of a photograph, whose id what is made of it shares.
        dataset, domain, subject, style_subject, attack_type, device, split, path: (N,) text; empty where unknown.
        video: (N,) text, of a frame: the path of its video, or what the source of a still names; empty for other stills.
    """

    number: NDArray[np.int64]
    sample_id: Words
    label: NDArray[np.int64]
    synthetic: NDArray[np.bool_]
    frame: NDArray[np.int64]
    brisque: NDArray[np.float64]
    variant: NDArray[np.int64]
    dataset: Words
    domain: Words
    subject: Words
    style_subject: Words
    attack_type: Words
    device: Words
    split: Words
    path: Words
    video: Words

    @staticmethod
    def of(index: FasIndex) -> SampleTable:
        """The table of all samples of ``index``; reads every sample's JSON, in the order in which it lies on disk.

        Raises:
            ShardError: a JSON is missing or damaged.
        """
        return SampleTable.of_metas(index.meta(number) for number in range(len(index)))

    @staticmethod
    def of_metas(metas: Iterable[dict[str, Any]]) -> SampleTable:
        """The table of samples with these JSON contents, numbered from 0."""
        rows = [_row(meta) for meta in metas]
        columns = list(zip(*rows, strict=True)) or [()] * (6 + len(KEYS))
        ids, label, synthetic, frame, brisque, variant, *texts = columns
        return SampleTable(
            np.arange(len(rows)),
            _words(ids),
            np.array(label, np.int64),
            np.array(synthetic, np.bool_),
            np.array(frame, np.int64),
            np.array(brisque, np.float64),
            np.array(variant, np.int64),
            *map(_words, texts),
        )

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: ArrayLike) -> SampleTable:
        """The rows of a mask (N,) or of positions, with the numbers that they have in the index."""
        return SampleTable(*(getattr(self, field.name)[np.asarray(rows)] for field in fields(self)))

    def column(self, key: str) -> Words:
        """A text column by its name.

        Raises:
            ConfigError: there is no such column.
        """
        if key not in KEYS:
            raise ConfigError(f"samples cannot be told apart by {key!r}; by these they can: {', '.join(KEYS)}")
        words: Words = getattr(self, key)
        return words

    def groups(self, key: str | None) -> Iterator[tuple[str, SampleTable]]:
        """Value of a text column and the samples that have it, sorted by value; everything under one name for None."""
        if key is None:
            yield "all", self
            return
        words = self.column(key)
        for value in sorted(set(words)):
            yield value, self.take(words == value)


def _row(meta: dict[str, Any]) -> tuple[Any, ...]:
    label, frame = meta.get("label_index"), meta.get("frame")
    brisque = (meta.get("quality") or {}).get("brisque")
    said = meta if frame is None else {**meta, "video": meta.get("path")}
    return (
        str(meta.get("sample_id", "")),
        UNKNOWN if label is None else int(label),
        bool(meta.get("synthetic")),
        -1 if frame is None else int(frame),
        np.nan if brisque is None else float(brisque),
        int((meta.get("synthesis") or {}).get("variant") or 0),
        *(str(said.get(key) or "") for key in KEYS),
    )


def _words(values: Iterable[str]) -> Words:
    items = list(values)
    out = np.empty(len(items), np.object_)
    out[:] = items
    return out
