"""A user's own adapter: the same table, written in YAML."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from fasgen.errors import SourceError
from fasgen.sources.adapters.built_in import BUILT_IN, built_in
from fasgen.sources.adapters.table import Table

_LARGEST = 1 << 20


class _Loader(yaml.BaseLoader):
    """Makes nothing but text, lists and mappings, each as often as it is written."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            # Aliases let a few lines stand for gigabytes, or for themselves.
            raise yaml.composer.ComposerError(None, None, "aliases (*name) are not supported", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)


def read_table(file: Path) -> Table:
    """Read a table from YAML. ``extends: NAME`` takes from a built-in table, or from a file beside this one, what it lacks.

    Every value is text until the table asks for a number, so that a code ``01`` stays ``01`` and ``no`` is no truth value.

    Raises:
        SourceError: there is no such file, it is not YAML, or what it holds is no table; all faults are named.
    """
    return _checked(file, _mapping(file, ()))


def _mapping(file: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    if file in above:
        raise SourceError(f"adapter {file}: extends itself through {' and '.join(map(str, above))}; take one extends out")
    if not file.is_file():
        close = get_close_matches(file.name, BUILT_IN, n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]}?" if close else "."
        raise SourceError(
            f"there is no adapter {file.name!r}, nor a file {file}{hint} Data sets: {', '.join(BUILT_IN)}; or folder, csv, "
            "parquet, webdataset, or a YAML file of your own"
        )
    try:
        text = file.read_bytes()
        data = yaml.load(text, Loader=_Loader) if len(text) <= _LARGEST else None
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise SourceError(f"adapter {file}: cannot be read as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict):
        raise SourceError(f"adapter {file}: one mapping of less than 1 MB was expected, with name, layout and rules")
    base = data.pop("extends", None)
    if base is None:
        return data
    if str(base) in BUILT_IN:
        below: Mapping[str, Any] = built_in(str(base)).model_dump(exclude_unset=True)
    else:
        below = _mapping((file.parent / str(base)).absolute(), (*above, file))
    return {**below, **data}


def _checked(file: Path, data: Mapping[str, Any]) -> Table:
    try:
        return Table.model_validate(data)
    except ValidationError as error:
        faults = []
        for one in error.errors(include_url=False):
            where = ".".join(str(part) for part in one["loc"]) or "the table"
            faults.append(f"{where}: {one['msg'].removeprefix('Value error, ')}")
        raise SourceError(f"adapter {file}: " + "; ".join(faults)) from None
