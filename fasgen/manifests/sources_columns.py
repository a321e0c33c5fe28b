"""Columns of a listing, out of records a file: whole columns at once, never a row."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fasgen.manifests.schema import field
from fasgen.manifests.sources_rows import COLUMNS, FileRows
from fasgen.records import Scalar

if TYPE_CHECKING:
    import pyarrow as pa

_CHUNK = 10_000


class Part:
    """Columns that grow by files: the table of one parquet file."""

    def __init__(self) -> None:
        self.rows = 0
        self._kinds: list[Mapping[str, Scalar]] = []
        self._kind_of: dict[int, int] = {}
        self._which, self._repeats = array("i"), array("i")
        self._paths: list[Any] = []
        self._sizes: list[Any] = []
        self._marks: list[Any] = []
        self._waiting: list[Any] = []
        self._samples: list[pa.Array] = []
        self._frames: list[pa.Array] = []
        self._numbers: list[Any] = []

    def add(self, rows: FileRows) -> None:
        """Take the rows of one file, checked."""
        kind = self._kind_of.get(id(rows.alike))
        if kind is None:
            kind = self._kind_of[id(rows.alike)] = len(self._kinds)
            self._kinds.append(rows.alike)
        self._which.append(kind)
        self._repeats.append(len(rows.sample_ids))
        self._paths.append(rows.path)
        self._sizes.append(rows.size)
        self._marks.append(rows.marks)
        self._waiting += rows.sample_ids
        self._numbers += rows.frames
        self.rows += len(rows.sample_ids)
        if len(self._waiting) >= _CHUNK:
            self._pack()

    def _pack(self) -> None:
        import pyarrow as pa

        self._samples.append(pa.array(self._waiting, pa.string()))
        self._frames.append(pa.array(self._numbers, pa.int32()))
        self._waiting, self._numbers = [], []

    def table(self) -> pa.Table:
        """The table, each column in one piece."""
        import numpy as np
        import pyarrow as pa

        self._pack()
        schema = pa.schema([field(column) for column in COLUMNS])
        repeats = np.frombuffer(self._repeats, np.int32) if self._repeats else np.empty(0, np.int32)
        which = np.frombuffer(self._which, np.int32) if self._which else np.empty(0, np.int32)
        files = pa.array(np.repeat(np.arange(len(repeats), dtype=np.int32), repeats))
        kinds = pa.array(np.repeat(which, repeats))
        own = {"path": self._paths, "size": self._sizes, "marks": self._marks}
        columns: dict[str, pa.Array] = {
            "sample_id": pa.concat_arrays(self._samples),
            "frame_k": pa.concat_arrays(self._frames),
        }
        self._samples, self._frames = [], []
        for name in schema.names:
            if name in own:
                columns[name] = pa.array(own.pop(name), schema.field(name).type).take(files)
            elif name not in columns:
                values = pa.array([alike.get(name) for alike in self._kinds], schema.field(name).type)
                columns[name] = values.take(kinds)
        return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
