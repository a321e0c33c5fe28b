"""Reading a configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.resources import files
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from fasgen.config.anchors import anchor
from fasgen.config.complaints import complain, nearest
from fasgen.config.document import Document, Key, parse_document, read_document
from fasgen.config.overrides import parse_override, put
from fasgen.config.root import Config, root_model
from fasgen.config.shapes import Shape
from fasgen.errors import ConfigError
from fasgen.remote.address import scheme_of
from fasgen.sources.config import GENERIC
from fasgen.stages.settings import merge

DEFAULT_PRESET = "embedded"


def preset_names() -> list[str]:
    """Names of the presets that come with fasgen."""
    return sorted(
        entry.name.removesuffix(".yaml") for entry in files("fasgen.presets").iterdir() if entry.name.endswith(".yaml")
    )


def _preset(name: Any) -> Document:
    known = preset_names()
    if name not in known:
        guess = nearest(str(name), known)
        hint = f"; did you mean {guess}?" if guess else "."
        raise ConfigError(f"preset: there is no preset {name!r}{hint} Presets: {', '.join(known)}")
    return parse_document(files("fasgen.presets").joinpath(f"{name}.yaml").read_text("utf-8"), f"preset {name}")


def _spread(tree: dict[str, Any]) -> dict[str, Any]:
    """Allow ``sources`` to be one path, one source, or a list with bare paths in it."""
    sources = tree.get("sources")
    if isinstance(sources, str | dict):
        sources = [sources]
    if isinstance(sources, list):
        return tree | {"sources": [{"path": one} if isinstance(one, str) else one for one in sources]}
    return tree


def _named(tree: dict[str, Any]) -> dict[str, Any]:
    """Name each source that has no name after its data set, or after its folder."""
    sources = tree.get("sources")
    if not isinstance(sources, list):
        return tree
    return tree | {"sources": [_as_folder(_with_name(one)) if isinstance(one, dict) else one for one in sources]}


def _as_folder(source: dict[str, Any]) -> dict[str, Any]:
    """``{adapter: csv, path: a/b.csv}`` as what it stands for: the folder a with the table a/b.csv."""
    if source.get("adapter") not in ("csv", "parquet") or source.get("table") or not isinstance(source.get("path"), str):
        return source
    # An address keeps its slashes.
    folder = source["path"].rpartition("/")[0] if scheme_of(source["path"]) else str(Path(source["path"]).parent)
    return {"table_only": True, **source, "path": folder, "table": source["path"]}


def _with_name(source: dict[str, Any]) -> dict[str, Any]:
    if "name" in source or not isinstance(source.get("path"), str):
        return source
    adapter = source.get("adapter", "folder")
    path = Path(source["path"])
    called = path.name if adapter in GENERIC else Path(str(adapter)).stem
    if adapter in ("csv", "parquet"):
        called = path.stem
    # What a source's name may hold is narrower than what a folder's may.
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", called).strip("-._")[:64]
    return {"name": words or "photos", **source}


def _spelt(value: Any) -> Any:
    """A mapping of Python as YAML would have given it: paths are text, tuples lists."""
    if isinstance(value, Mapping):
        return {str(key): _spelt(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spelt(item) for item in value]
    return str(value) if isinstance(value, PurePath) else value


DETECTION = "detection"
"""Part of a preset that is for experiments, and for no stage or training."""


def detection(name: Any) -> Document:
    """What a preset says of experiments.

    Raises:
        ConfigError: there is no such preset, or it says nothing of them.
    """
    whole = _preset(name)
    if DETECTION not in whole.data:
        told = [one for one in preset_names() if DETECTION in _preset(one).data]
        raise ConfigError(f"preset: {name} says nothing of experiments; these do: {', '.join(told)}")
    lines = {key[1:]: line for key, line in whole.lines.items() if key[:1] == (DETECTION,)}
    return Document(whole.name, whole.data[DETECTION], lines)


def asked_for(tree: Mapping[str, Any], used: Callable[[Key], bool], at: Key = ()) -> dict[str, Any]:
    """``tree`` of a preset without the nulls that ask for what is not used."""
    out: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            out[name] = asked_for(value, used, (*at, name))
        elif value is not None or used((*at, name)):
            out[name] = value
    return out


def load(path: Path | Mapping[str, Any] | None, overrides: Sequence[str] = (), uses: Collection[str] | None = None) -> Config:
    """Resolve a configuration: defaults < preset < file < overrides.

    Relative paths in the file are relative to the file's folder, those in overrides to the current folder; all are absolute
    afterwards.

    Args:
        path: the YAML file, or what one in the current folder would hold; None for none.
        overrides: settings as ``a.b=c``; values are YAML scalars or flow collections.
        uses: stages, or one training as ``train.NAME``, that are meant: what a preset asks for elsewhere need not be given.
            None: all stages.

    Returns:
        the frozen configuration, an instance of `root_model`.

    Raises:
        ConfigError: if anything in it is unknown, of the wrong type or out of range; all such faults are named at once.
    """
    root = root_model()
    given = read_document(path) if isinstance(path, Path) else Document("", _spelt(path or {}))
    settings = [parse_override(text) for text in overrides]
    name = next((value for key, value in reversed(settings) if key == ("preset",)), given.data.get("preset", DEFAULT_PRESET))
    preset = _preset(name)
    shape, here = Shape(root), Path.cwd()
    folder = path.parent if isinstance(path, Path) else here

    def used(key: Key) -> bool:
        words = ".".join(map(str, key))
        return key[0] != "train" if uses is None else any(words.startswith(f"{one}.") for one in uses)

    below = asked_for({key: value for key, value in preset.data.items() if key != DETECTION}, used)
    tree = merge(_spread(below), anchor(_spread(given.data), shape, folder, told=given.told))
    for key, value in settings:
        put(tree, key, value)
        tree = _spread(tree)
    for key, _ in settings:
        _anchor_at(tree, key, shape, here)
    tree = _named(tree)
    tree.setdefault("store", str(here / "store"))
    tree["preset"] = name

    def origin(key: Key) -> str:
        if any(_begins(key, one) or _begins(one, key) for one, _ in settings):
            return "command line"
        if key in given.lines:
            return f"{given.name}, line {given.lines[key]}"
        return preset.name if key in preset.lines else ""

    try:
        # Strictly, and as JSON: 5 is no text, "5" no number, true no 1, while lists become tuples and text becomes paths.
        return root.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError(complain(root, error, origin)) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{given.name or 'the configuration'}: {error}") from error


def _begins(key: Key, start: Key) -> bool:
    return key[: len(start)] == start


def _anchor_at(tree: dict[str, Any], key: Key, shape: Shape | None, folder: Path) -> None:
    """Anchor, in place, the value that an override put at ``key``."""
    here: Any = tree
    for part in key[:-1]:
        here, shape = here[part], shape.below(part) if shape else None
        if not isinstance(here, dict | list):
            return
    last = key[-1]
    here[last] = anchor(here[last], shape.below(last) if shape else None, folder, key)
