"""Relative paths in a configuration, made absolute against the folder they were written for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from fasgen.config.document import Key
from fasgen.config.overrides import dotted
from fasgen.config.shapes import Shape
from fasgen.errors import ConfigError
from fasgen.remote.address import HERE, fault_of, scheme_of
from fasgen.remote.path import RemotePath

CARRIED = "embedded"
"""The word for weights that come with fasgen."""


_WINDOWS = re.compile(r"[A-Za-z]:[/\\].*", re.DOTALL)

_SHIP = "a store lies on a disk: take a folder, and copy it there by `fasgen ship STORE {}`"
_LOCAL = "is an address, and a path is wanted: copy it to a disk or mount it, and give that folder"


def anchor(value: Any, shape: Shape | None, folder: Path, key: Key = (), told: Callable[[Key], str] = dotted) -> Any:
    """``value`` with every relative path in it joined to ``folder``.

    Paths are the values of fields declared as ``Path``, and those of text fields whose default is `CARRIED`: weights, by
    that word or by their place. Words that a field allows as literals are left, and so are addresses where a field takes them:
    sources, their tables, weights. ``~`` is the home folder. Links are not resolved.

    Args:
        value: a part of a configuration, as YAML gives it.
        shape: what the field wants there; None where there is no such field.
        folder: what relative paths are relative to.
        key: where the part stands.
        told: from a key, what to call it in messages.

    Raises:
        ConfigError: what stands for a path is an address, or begins with the home folder of nobody.
    """
    if shape is None:
        return value
    if isinstance(value, dict):
        return {name: anchor(item, shape.below(name), folder, (*key, name), told) for name, item in value.items()}
    if isinstance(value, list):
        return [anchor(item, shape.below(position), folder, (*key, position), told) for position, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    alternatives = list(shape.alternatives())
    words = {word for one in alternatives if get_origin(one.annotation) is Literal for word in get_args(one.annotation)}
    weights = shape.default == CARRIED
    if value in words or (weights and value == CARRIED):
        return value
    if not weights and not any(one.annotation is Path for one in alternatives):
        return value
    takes = {one.annotation for one in alternatives}
    if scheme_of(value) and (RemotePath in takes or (weights and Path not in takes)):
        if why := fault_of(value):
            raise ConfigError(f"{told(key)}: {value!r} {why}")
        return value
    return tidy((folder / place(value, told(key), is_store=key == ("store",))).absolute())


def place(text: str, what: str = "", *, is_store: bool = False) -> Path:
    """The path that a text stands for, ``~`` and ``~name`` at its beginning being home folders.

    Args:
        text: as it was written; ``./~x`` is a folder of that name.
        what: what it is a value of, for messages.
        is_store: whether it is a store that is to be written.

    Raises:
        ConfigError: it is an address, or there is no such home folder.
    """
    told = f"{what}: " if what else ""
    if _WINDOWS.fullmatch(text):
        raise ConfigError(f"{told}{text!r} is a path of Windows: write it as this system has it, for example /mnt/c/...")
    if scheme_of(text):
        why = fault_of(text)
        if scheme_of(text) in HERE:
            raise ConfigError(f"{told}{text!r} {why}")
        raise ConfigError(f"{told}{text!r} " + (f"is an address, and {_SHIP.format(text)}" if is_store else _LOCAL))
    if not text.startswith("~"):
        return Path(text)
    name = text.partition("/")[0]
    if (home := os.path.expanduser(name)) == name:  # noqa: PTH111 (pathlib raises, and takes ./~x for ~x)
        who = f"of {name[1:]!r} " if name[1:] else ""
        raise ConfigError(
            f"{told}{text!r}: the home folder {who}is not known; write the path out, or ./{name} for such a folder"
        )
    return Path(home + text[len(name) :])


def tidy(path: Path) -> str:
    """``path`` without ``..``, unless a link on the way makes that another place."""
    plain = os.path.normpath(path)
    return plain if os.path.realpath(plain) == os.path.realpath(path) else str(path)
