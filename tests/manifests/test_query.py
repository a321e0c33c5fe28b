"""Filters answer, and cannot do anything but answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from fasgen.errors import FilterError, StoreError
from fasgen.manifests.query import show

from .units import plan_hash, tree, write_stage


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store")
    write_stage(path, "align")
    write_stage(path, "score", {"align": plan_hash("align")}, rows=[0, 1, 3, 4, 5])
    return path


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ('brisque > 35 and status == "ok"', [4, 5, 4, 5]),
        ("brisque > 35 and stage = 'score'", [4, 5]),
        ("status != 'ok'", [2]),
        ('"status" = "filtered"', [2]),
        ("reason is not distinct from 'no_face'", [2]),
        ("STATUS = 'ok' and Brisque between 10 and 30 and stage like 'al%'", [1, 3]),
        ("list_contains(box, 0.5) and row in (0, 1) and stage == 'align'", [0, 1]),
        ("path like '%\\xff.jpg' and row = 3", [3, 3]),
        ("detail = 'it''s; --' or row = 5", [5, 5]),
        ("kept and not (row < 5)", [5, 5]),
        ("  ", [0, 1, 2, 3, 4, 5, 0, 1, 3, 4, 5]),
        (None, [0, 1, 2, 3, 4, 5, 0, 1, 3, 4, 5]),
    ],
)
def test_filters(store: Path, expression: str | None, rows: list[int]) -> None:
    assert show(store, expression, ["row"], None).column("row").to_pylist() == rows


def test_columns_and_limit(store: Path) -> None:
    table = show(store, "brisque >= 0", ["brisque", "stage"], 2)
    assert table.to_pylist() == [{"brisque": 0.0, "stage": "align"}, {"brisque": 10.0, "stage": "align"}]
    assert show(store, None, ["stage"], 1).num_rows == 1
    assert show(store, "row = 0", None, None).column_names[0] == "stage"
    assert {"path", "cue", "brisque"} & set(show(store, None, None, 1).column_names) == {"path", "brisque"}


@pytest.mark.parametrize(
    "expression",
    [
        "1) ; drop table manifests",
        "1=1; select 1",
        "true) union all (select * from manifests where (true",
        "row in (select row from manifests)",
        "exists (from read_csv('/etc/passwd'))",
        "exists (select * from read_text('/etc/passwd'))",
        "exists (from '/etc/passwd')",
        "attach '/tmp/x.db'",
        "copy manifests to '/tmp/x.csv'",
        "install httpfs",
        "load httpfs",
        "set threads = 1",
        "pragma version",
        "create table x (y int)",
        "insert into manifests",
        "update manifests",
        "true -- comment",
        "true /* comment */",
        "$$text$$ = ''",
        "'open",
        '"open',
        "(row = 1",
        "row = 1)",
        "row = 1) or (true",
        "row > ",
        "path",
        "getenv('HOME') = 'x'",
        "row = 'x'",
    ],
)
def test_everything_but_an_expression_is_refused(store: Path, expression: str) -> None:
    before = tree(store)
    with pytest.raises(FilterError):
        show(store, expression)
    assert tree(store) == before


def test_unknown_columns_name_the_nearest(store: Path) -> None:
    with pytest.raises(FilterError, match=r"no manifest has a column 'brisk'; did you mean 'brisque'\?"):
        show(store, "brisk > 3")
    with pytest.raises(FilterError, match=r"did you mean 'status'\?"):
        show(store, None, ["statsu"])


def test_only_the_latest_generation_answers(tmp_path: Path) -> None:
    import os
    import shutil

    old = write_stage(tmp_path, "align")
    shutil.copytree(old, tmp_path / "align-00000000")
    os.utime(tmp_path / "align-00000000" / "plan.json", (0, 0))
    assert show(tmp_path, None, ["row"]).num_rows == 6


def test_an_empty_store_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no committed unit"):
        show(tmp_path, None)
