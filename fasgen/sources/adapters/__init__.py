"""Adapters: from a data set's folder, as its authors ship it, to labelled files. One data set a file, each a table."""

from __future__ import annotations

from pathlib import Path

from fasgen.sources.adapters.built_in import BUILT_IN, built_in
from fasgen.sources.adapters.table import Table


def open_table(adapter: str | Path) -> Table:
    """The table of a built-in data set, or of a user's YAML file.

    Raises:
        SourceError: there is neither, or the file is no table.
    """
    if str(adapter) in BUILT_IN:
        return built_in(str(adapter))
    from fasgen.sources.adapters.written import read_table

    return read_table(Path(adapter))
