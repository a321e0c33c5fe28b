"""Which rows are chosen: by split, by a protocol's side, by a filter, and what is said of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from fasgen.errors import FilterError, StoreError
from fasgen.selection.row_sets import row_set, row_sets
from fasgen.selection.selection import Selection, Selector
from fasgen.training.crops import list_crops
from tests.leaks.toy import lay_by_hand, of, split_store


def chosen(store: Path, selection: Selection) -> tuple[set[str], dict[str, int]]:
    rows = Selector(selection)
    return {crop.face.name for crop in list_crops(store, rows)}, rows.counted()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    split_store(tmp_path)
    lay_by_hand(tmp_path, "mine-1", {"train": ["ann", "eve"], "test": ["bob"]}, "mine")
    lay_by_hand(tmp_path, "mine-2", {"train": ["bob"], "test": ["ann"]}, "mine")
    return tmp_path


def test_nothing_asked_for_takes_all(store: Path) -> None:
    names, left_out = chosen(store, Selection())
    assert len(names) == 24 and left_out == {}


def test_splits_take_rows_without_one_too(store: Path) -> None:
    names, left_out = chosen(store, Selection(splits=("train",)))
    assert names == of("ann") | of("bob") | of("cid") | of("fay")
    assert left_out == {"left out of split dev": 4, "left out of split test": 4}


def test_a_protocol_outweighs_splits_and_stands_with_a_filter(store: Path) -> None:
    names, left_out = chosen(store, Selection(protocol="mine/1", splits=("train",)))
    assert names == of("ann") | of("eve")
    assert left_out == {"left out not on the train side of mine/1": 16}
    names, left_out = chosen(store, Selection("sharpness > 0", "mine-1"))
    assert names == of("eve")
    assert left_out == {"left out not on the train side of mine-1": 16, "left out not passing where": 4}


def test_the_filter_is_that_of_show(store: Path) -> None:
    assert chosen(store, Selection('subject == "toy/cid" or sharpness < 1'))[0] == of("ann") | of("cid")
    with pytest.raises(FilterError, match="did you mean 'sharpness'"):
        chosen(store, Selection("sharpnes > 1"))
    with pytest.raises(FilterError, match="is not allowed"):
        chosen(store, Selection("1; drop table manifests"))


def test_row_sets_by_name_by_fold_and_of_all_folds(store: Path) -> None:
    assert row_set(store, "mine/1") == row_set(store, "mine-1")
    assert row_set(store, "mine-1").sides["dev"] == frozenset()
    assert [one.name for one in row_sets(store, "mine")] == ["mine/1", "mine/2"]
    with pytest.raises(StoreError, match="has 2 folds: name one, mine/1, mine/2"):
        row_set(store, "mine")
    with pytest.raises(StoreError, match=r"`fasgen protocol oulu-1 .*` writes them"):
        row_sets(store, "oulu-1")
    (store / "protocols" / "mine-1" / "report.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        row_sets(store, "mine")
