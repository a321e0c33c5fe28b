"""Values are stored as declared, or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fasgen.errors import StoreError
from fasgen.manifests.schema import COMMON, arrow_schema, checked, text
from fasgen.records import PROVENANCE, Column


def test_common_columns_come_first_and_carry_their_meaning() -> None:
    schema = arrow_schema([Column("score", "float32", "a score", "[0, 1]")])
    assert schema.names == [*(column.name for column in COMMON), "score"]
    assert set(PROVENANCE) <= set(COMMON)
    assert schema.field("score").metadata == {b"doc": b"a score", b"unit": b"[0, 1]"}
    assert not schema.field("sample_id").nullable


@pytest.mark.parametrize("names", [["unit"], ["a", "a"]])
def test_columns_declared_twice_are_refused(names: list[str]) -> None:
    with pytest.raises(StoreError, match="declared twice"):
        arrow_schema([Column(name, "int32", "") for name in names])


@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("string", "a\udcff", "a\\udcff"),
        ("int32", np.int64(5), 5),
        ("uint64", 2**64 - 1, 2**64 - 1),
        ("float32", 0.1, float(np.float32(0.1))),
        ("float64", 3, 3.0),
        ("bool", np.True_, True),
        ("list<float32>", np.array([1, 2.5]), [1.0, 2.5]),
        ("list<string>", ("a",), ["a"]),
        ("int32", None, None),
    ],
)
def test_values(kind: str, value: object, stored: object) -> None:
    assert checked(Column("c", kind, ""), value, "here") == stored  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int32", 2**31),
        ("int32", 1.0),
        ("int32", True),
        ("uint64", -1),
        ("string", b"a"),
        ("bool", 1),
        ("float32", "1"),
        ("list<float32>", 1.0),
    ],
)
def test_values_that_do_not_fit(kind: str, value: object) -> None:
    with pytest.raises(StoreError, match=f"here: column 'c' is {kind}"):
        checked(Column("c", kind, ""), value, "here")  # type: ignore[arg-type]


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_stored(value: str) -> None:
    text(value).encode()
