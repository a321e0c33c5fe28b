"""A filter answered by DuckDB on Arrow tables.

DuckDB never opens a file here: it sees one table at a time and nothing else, its configuration is locked, and of SQL it gets
one expression whose words and functions were checked before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from threading import Timer
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import FilterError
from fasgen.selection.expression import Expression, unknown

if TYPE_CHECKING:
    import pyarrow as pa

SECONDS = 60.0
"""Time that DuckDB may take over one chunk: an expression can be written that never ends."""

_PLACE = "fasgen place"
_LOCKED = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "512MB",
    "temp_directory": "",
    "threads": "2",
    "lock_configuration": "true",
}


class Filter:
    """An expression asked of one table after another."""

    def __init__(self, expression: Expression | None, known: Sequence[str]) -> None:
        self._expression, self._known = expression, known
        self.names: set[str] = expression.names if expression else set()
        self._connection: Any = None

    def __call__(self, table: pa.Table) -> NDArray[np.int64]:
        """Places of the rows that pass, ascending."""
        if self._expression is None:
            return np.arange(table.num_rows, dtype=np.int64)
        import duckdb
        import pyarrow as pa

        if self._connection is None:
            self._connection = duckdb.connect(":memory:", config=_LOCKED)
        self._connection.register("manifests", table.append_column(_PLACE, pa.array(np.arange(table.num_rows, dtype=np.int64))))
        # The line break keeps whatever the expression ends with from reaching the bracket.
        sql = f'select "{_PLACE}" from manifests where cast((\n{self._expression.sql}\n) as boolean) order by 1'
        watch = Timer(SECONDS, self._connection.interrupt)
        watch.start()
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise FilterError(f"filter {self._expression.sql!r}: is more than one expression")
            places: NDArray[np.int64] = self._connection.sql(statements[0]).to_arrow_table()[_PLACE].to_numpy()
        except duckdb.Error as error:
            raise _explained(str(error), self._expression.sql, self._known) from None
        finally:
            watch.cancel()
            self._connection.unregister("manifests")
        return places

    def __enter__(self) -> Filter:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._connection is not None:
            self._connection.close()


def _explained(message: str, sql: str, known: Sequence[str]) -> FilterError:
    missing = re.search(r'Referenced column "([^"]+)" not found', message)
    if missing:
        return unknown(missing[1], known)
    first = next((line.strip() for line in message.splitlines() if line.strip()), "not understood")
    return FilterError(f"filter {sql!r}: {first}; write it like: brisque > 55 and status == 'ok'")
