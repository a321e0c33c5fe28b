"""Tables of many files as one."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.manifests.parquet import concatenated

ROWS = st.lists(st.lists(st.one_of(st.none(), st.integers(-9, 9)), max_size=3), min_size=1, max_size=600)


@given(ROWS)
def test_rows_follow_each_other_however_many_tables_there_are(rows: list[list[int | None]]) -> None:
    schema = pa.schema([("number", pa.int64())], {"of": "one file"})
    tables = (pa.table({"number": pa.array(each, pa.int64())}, schema=schema) for each in rows)
    whole = concatenated(tables)
    assert whole["number"].to_pylist() == [number for each in rows for number in each]
    assert whole.schema.metadata is None and whole["number"].num_chunks <= -(-len(rows) // 256)


def test_columns_that_are_not_alike_are_refused_or_promoted() -> None:
    tables = [pa.table({"a": [1]}), pa.table({"a": [1], "b": ["x"]})] * 300
    with pytest.raises(pa.ArrowInvalid):
        concatenated(tables)
    assert concatenated(tables, "default")["b"].to_pylist() == [None, "x"] * 300
