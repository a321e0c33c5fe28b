"""Filters answer, and cannot do anything but answer."""

from __future__ import annotations

import contextlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fasgen.audit.query import show
from fasgen.errors import FilterError, StoreError
from tests.manifests.units import plan_hash, tree, write_stage

from .stores import make_store

QUOTES = ["'", '"', "E", "e'", "\\", "''", "$$", "\x00", "\u00a0", "\n", " ", "--", "/*", "*/", ";"]
WORDS = "( ) [ ] { } , . :: ? = 1 or true row from read_text '/etc/passwd' attach manifests"
FRAGMENTS = [
    *QUOTES,
    *WORDS.split(),
    "select 1",
]

TINY: Path | None = None
"""The store for generated expressions; hypothesis and fixtures of a function's scope do not go together."""


@pytest.fixture(scope="module", autouse=True)
def _tiny(store: Path) -> None:
    global TINY
    TINY = store


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
        # An escaped text ends where DuckDB says, not where '' is read as a quote.
        r"E'\'' or true",
        r"E'\'') as boolean); create table t (x int); select cast((' = ''",
        r"e'\' or (select 1) = 1 --'",
        "U&'d\\0061t' = 'x'",
        'U&"d" = 1',
        "x'00' = 'y'",
        "path = 'a\0b'",
        "path = \0 'a'",
        "read_text('/etc/passwd') = 'x'",
        "read_csv_auto('/etc/passwd') is null",
        "read_blob ('/etc/passwd') is null",
        "'/etc/passwd'.read_text() = 'x'",
        "path.read_text() = 'x'",
        '"read_text"(path) = 1',
        '"path"(1) = 1',
        "query('select 1') = 1",
        "query_table('manifests') = 1",
        "glob('/etc/*') = 'x'",
        "write_log('x') is null",
        "current_setting('threads') = '1'",
        "getvariable('x') = 1",
        "nextval('x') = 1",
        "pg_sleep(100) is null",
        "sleep_ms(100) is null",
        "repeat('a', 1000000000000) = 'x'",
        "len(range(100000000000)) > 1",
        "generate_series(1, 100000000000) is null",
        "list_transform([1], lambda x: x) = [1]",
        "columns(*) = 1",
        "columns('.*') is null",
        "exists(select 1)",
        "row = any(select 1)",
        "row in (from manifests)",
        "sum(row) > 1",
        "row_number() over () = 1",
        "duckdb_settings() is null",
        "? = 1",
        "$1 = 1",
        "`path` = 1",
        "http_get('http://localhost') is null",
        "true; attach '/tmp/x.db' as y",
        "abs(" * 33 + "1" + ")" * 33 + " > 0",
        "not " * 6000 + "true",
        "length(replace(replace(path, 'a', 'aaaa'), 'a', 'aaaa')) > 1",
        "length(replace(lower(concat(replace(path, 'a', 'aa'))), 'a', 'aa')) > 1",
        "length(replace(path, 'a', path)) > 1",
        "length(replace(path, 'a', \"path\")) > 1",
        "length(replace(path, 'a', 'b' || path)) > 1",
        f"length(replace(path, 'a', '{'a' * 65}')) > 1",
    ],
)
def test_everything_but_an_expression_is_refused(store: Path, expression: str) -> None:
    before = tree(store)
    with pytest.raises(FilterError):
        show(store, expression)
    assert tree(store) == before


def test_parentheses_deeper_than_a_parser_goes_end_in_rows_or_a_refusal(store: Path) -> None:
    # DuckDB before 2.0 reads them all; later ones have a limit.
    with suppress(FilterError):
        show(store, "(" * 5000 + "true" + ")" * 5000)


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("regexp_matches(path, '(?s)fold.*jpg') and row = 1", [1, 1]),
        ("coalesce(reason, 'none') = 'no_face'", [2]),
        ("case when row > 3 then true else false end", [4, 5, 4, 5]),
        ("lower(status) = 'filtered' and detail is not null", [2]),
        ("cast(row as varchar) = '3' or row = 5 and not (stage = 'score')", [3, 5, 3]),
        ("row is not distinct from (4)", [4, 4]),
    ],
)
def test_functions_that_only_look_are_there(store: Path, expression: str, rows: list[int]) -> None:
    assert show(store, expression, ["row"], None).column("row").to_pylist() == rows


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(FRAGMENTS),
        max_size=14,
    ).map("".join)
)
def test_whatever_is_asked_nothing_but_rows_or_a_refusal_comes_back(expression: str) -> None:
    assert TINY is not None
    with contextlib.suppress(FilterError):
        assert set(show(TINY, expression, ["row"], None).column_names) <= {"row"}


def test_a_portion_at_a_time_gives_the_same(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = show(store, "brisque >= 10", None, None)
    monkeypatch.setattr("fasgen.audit.query.CHUNK", 1)
    assert show(store, "brisque >= 10", None, None).equals(whole)
    assert show(store, "brisque >= 10", None, 3).equals(whole.slice(0, 3))


def test_a_column_of_one_stage_is_null_in_the_others(tmp_path: Path) -> None:
    make_store(tmp_path)
    assert set(show(tmp_path, "brisque is null", ["stage"], None)["stage"].to_pylist()) == {"align", "synth", "score"}
    assert set(show(tmp_path, "brisque >= 0", ["stage"], None)["stage"].to_pylist()) == {"score", "synth_score"}


def test_unknown_columns_name_the_nearest(store: Path) -> None:
    with pytest.raises(FilterError, match=r"there is no column 'brisk'; did you mean 'brisque'\?"):
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
