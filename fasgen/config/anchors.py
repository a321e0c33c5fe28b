"""Relative paths in a configuration, made absolute against the folder they were written for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from fasgen.config.shapes import Shape

CARRIED = "embedded"
"""The word for weights that come with fasgen."""


def anchor(value: Any, shape: Shape | None, folder: Path) -> Any:
    """``value`` with every relative path in it joined to ``folder``.

    Paths are the values of fields declared as ``Path``, and those of text fields whose default is `CARRIED`: weights, by
    that word or by their place. Words that a field allows as literals are left. ``~`` is the home folder. Links are not
    resolved.
    """
    if shape is None:
        return value
    if isinstance(value, dict):
        return {key: anchor(item, shape.below(key), folder) for key, item in value.items()}
    if isinstance(value, list):
        return [anchor(item, shape.below(position), folder) for position, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    alternatives = list(shape.alternatives())
    words = {word for one in alternatives if get_origin(one.annotation) is Literal for word in get_args(one.annotation)}
    weights = shape.default == CARRIED
    if value in words or (weights and value == CARRIED):
        return value
    if not weights and not any(one.annotation is Path for one in alternatives):
        return value
    return tidy((folder / Path(value).expanduser()).absolute())


def tidy(path: Path) -> str:
    """``path`` without ``..``, unless a link on the way makes that another place."""
    plain = os.path.normpath(path)
    return plain if os.path.realpath(plain) == os.path.realpath(path) else str(path)
