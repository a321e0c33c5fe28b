"""Questions to the manifests of a store: a filter in SQL's expression language, answered by DuckDB on Arrow tables.

DuckDB never opens a file here: it sees one table and nothing else, and its configuration is locked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.errors import FilterError, StoreError
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import Generation, latest
from fasgen.manifests.unit import committed_units, manifest_path

if TYPE_CHECKING:
    import pyarrow as pa

STAGE = "stage"
"""The column that a query adds: the stage whose manifest the row stands in."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>--|/\*|\#)
    |(?P<text>'(?:[^']|'')*')
    |(?P<quoted>"(?:[^"]|"")*")
    |(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[^\W\d]\w*)
    |(?P<other>[^;'"$])""",
    re.VERBOSE,
)
_REFUSED = frozenset(
    {"select", "table", "values", "with", "attach", "detach", "copy", "pragma", "install", "load", "set", "reset", "create"}
    | {"insert", "update", "delete", "drop", "alter", "call", "export", "import", "use", "checkpoint", "vacuum", "execute"}
    | {"prepare", "deallocate", "begin", "commit", "rollback", "union", "except", "intersect", "limit", "order", "group"}
    | {"having", "window", "qualify", "over"}
)


def show(store: Path, filter_sql: str | None, columns: Sequence[str] | None = None, limit: int | None = 50) -> pa.Table:
    """Rows of all stages' latest generations that pass a filter, stages by name, rows in the order of their manifests.

    Args:
        store: the store.
        filter_sql: an SQL expression over the manifests' columns and ``stage``, such as ``brisque > 55 and status == "ok"``;
            a word in double quotes that is no column is a text. None or blank: every row.
        columns: columns to show; None: all that the rows have. A column that a stage lacks is null in its rows.
        limit: rows at most; None: all.

    Raises:
        FilterError: if the expression is not one, or names a column that no manifest has, or ``columns`` does.
        StoreError: if a manifest is damaged.
    """
    import pyarrow as pa

    found = latest(store)
    schemas = {generation.folder: schema for generation in found if (schema := _schema(generation)) is not None}
    if not schemas:
        raise StoreError(f"{store}: has no committed unit yet: `fasgen run` makes them")
    known = list(dict.fromkeys([STAGE, *(name for schema in schemas.values() for name in schema.names)]))
    shown = list(columns) if columns else known
    for name in shown:
        if name not in known:
            raise _unknown(name, known)
    expression = _translate(filter_sql, known) if filter_sql and filter_sql.strip() else None
    needed = set(shown) | (expression.names if expression else set())
    tables = [
        _load(generation, [name for name in schemas[generation.folder].names if name in needed])
        for generation in found
        if generation.folder in schemas
    ]
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise FilterError(f"stages give one of the columns different types ({error}): name the columns you want") from None
    answer = _ask(table, expression.sql, limit, known) if expression else table.slice(0, limit)
    return answer.select([name for name in shown if name in answer.schema.names])


@dataclass(frozen=True)
class _Expression:
    sql: str
    names: set[str]


def _schema(generation: Generation) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    units = committed_units(generation.folder)
    if not units:
        return None
    path = manifest_path(generation.folder, units[0])
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(f"{path}: cannot be read ({error}): run `fasgen verify`") from None


def _load(generation: Generation, columns: Sequence[str]) -> pa.Table:
    """One stage's rows with the columns asked for and ``stage`` first."""
    import pyarrow as pa

    # Without any column a table forgets its length, so there is always one.
    wanted = list(columns) or ["row"]
    units = committed_units(generation.folder)
    parts = [read_table(manifest_path(generation.folder, unit), wanted) for unit in units]
    table = pa.concat_tables([part.replace_schema_metadata(None) for part in parts])
    return table.add_column(0, STAGE, pa.array([generation.stage] * table.num_rows, pa.string()))


def _ask(table: pa.Table, sql: str, limit: int | None, known: Sequence[str]) -> Any:
    import duckdb

    locked = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",
        "lock_configuration": "true",
    }
    with duckdb.connect(":memory:", config=locked) as connection:
        connection.register("manifests", table)
        tail = "" if limit is None else f" limit {int(limit)}"
        try:
            # The line break keeps whatever the expression ends with from reaching the bracket.
            return connection.sql(f"select * from manifests where cast((\n{sql}\n) as boolean){tail}").to_arrow_table()
        except duckdb.Error as error:
            raise _explained(str(error), sql, known) from None


def _explained(message: str, sql: str, known: Sequence[str]) -> FilterError:
    missing = re.search(r'Referenced column "([^"]+)" not found', message)
    if missing:
        return _unknown(missing[1], known)
    first = next((line.strip() for line in message.splitlines() if line.strip()), "not understood")
    return FilterError(f"filter {sql!r}: {first}; write it like: brisque > 55 and status == 'ok'")


def _unknown(name: str, known: Sequence[str]) -> FilterError:
    near = get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return FilterError(f"no manifest has a column {name!r}{hint} Columns: {', '.join(known)}")


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup == "comment":
            raise FilterError(
                f"filter {expression!r}: {expression[position : position + 12]!r} is not allowed: one expression, "
                "texts in closed quotes, no comments, no semicolons"
            )
        yield str(match.lastgroup), match[0]
        position = match.end()


def _translate(expression: str, known: Sequence[str]) -> _Expression:
    """The expression with double-quoted texts made SQL texts, and the columns it names; refuses all that is more than that."""
    parts: list[str] = []
    names: set[str] = set()
    depth = 0
    for kind, token in _tokens(expression):
        if kind == "word" and token.lower() in _REFUSED:
            raise FilterError(
                f"filter {expression!r}: {token!r} is not allowed: a filter is one expression, it neither selects nor changes "
                f"(a text goes into quotes: '{token}')"
            )
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            break
        if kind == "quoted" and (name := token[1:-1].replace('""', '"')) not in known:
            token = "'" + name.replace("'", "''") + "'"
        elif kind == "quoted":
            names.add(name)
        elif kind == "word":
            names |= {column for column in known if column.lower() == token.lower()}
        parts.append(token)
    if depth != 0:
        raise FilterError(f"filter {expression!r}: brackets do not match")
    return _Expression("".join(parts).strip(), names)
