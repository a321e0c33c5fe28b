"""One file that holds several configurations of a model: a common part, and under ``variants`` what each one changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fasgen.config.anchors import anchor
from fasgen.config.complaints import complain
from fasgen.config.document import Document, Key, read_document
from fasgen.config.loading import detection
from fasgen.config.overrides import parse_override, put
from fasgen.config.shapes import Shape
from fasgen.errors import ConfigError
from fasgen.stages.settings import merge

M = TypeVar("M", bound=BaseModel)


def load_variants(model: type[M], path: Path, overrides: Sequence[str] = ()) -> dict[str, M]:
    """Read a file into one configuration for each variant: defaults < preset < common part < variant < overrides.

    A preset is named by the key ``preset``, in the common part, a variant or the overrides. Where it has a null, a path is
    asked for: give one, or null yourself. Without ``variants`` there is one, called after the file. Relative paths in the file
    are relative to its folder, those in overrides to the current folder.

    Args:
        model: what each variant is.
        path: the YAML file.
        overrides: settings as ``a.b=c``, for all variants.

    Raises:
        ConfigError: the file cannot be read, or a value is unknown, of the wrong type or out of range.
    """
    document = read_document(path)
    shape = Shape(model)
    common = {key: value for key, value in document.data.items() if key != "variants"}
    variants = document.data.get("variants") or {path.stem: {}}
    if not isinstance(variants, dict) or not all(one is None or isinstance(one, dict) for one in variants.values()):
        raise ConfigError(f"{path}: variants: wants a mapping of names to mappings of settings")
    above: dict[str, Any] = {}
    for text in overrides:
        key, value = parse_override(text)
        put(above, key, value)
    above = anchor(above, shape, Path.cwd())
    out: dict[str, M] = {}
    for name, changes in variants.items():
        tree = merge(anchor(merge(common, changes or {}), shape, path.parent), above)

        def origin(key: Key, name: str = str(name)) -> str:
            for place in (("variants", name, *key), key):
                if place in document.lines:
                    return f"{document.name}, line {document.lines[place]}"
            return "command line" if key and str(key[0]) in above else document.name

        out[str(name)] = settle(model, tree, f"{path}: variant {name}", origin)
    return out


def settle(model: type[M], tree: Mapping[str, Any], where: str, origin: Callable[[Key], str]) -> M:
    """One configuration of a tree whose paths are absolute, over the preset that its key ``preset`` names.

    Args:
        model: what it is.
        tree: the settings.
        where: what to call it in messages.
        origin: where a key was written.

    Raises:
        ConfigError: a value is unknown, of the wrong type or out of range, or the preset asks for something.
    """
    tree = dict(tree)
    preset = tree.pop("preset", None)
    if preset is not None:
        tree = _above(detection(preset), tree, where)
    try:
        return model.model_validate_json(json.dumps(tree), strict=True)
    except ValidationError as error:
        raise ConfigError(complain(model, error, origin)) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _above(preset: Document, tree: Mapping[str, Any], where: str) -> dict[str, Any]:
    """``tree`` over a preset.

    Raises:
        ConfigError: the preset asks for something that is not given.
    """
    whole = merge(preset.data, tree)
    missing = [key for key in _nulls(preset.data) if _nothing_at(tree, key) and _takes(whole, key)]
    if missing:
        named = ", ".join(".".join(key) for key in missing)
        raise ConfigError(f"{where}: {preset.name} comes without {named}: give the path, or null to begin from random weights")
    return whole


def _nulls(tree: Mapping[str, Any], at: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _nulls(value, (*at, name))
        elif value is None:
            yield (*at, name)


def _nothing_at(tree: Mapping[str, Any], key: tuple[str, ...]) -> bool:
    """Whether nothing, not even a null, stands at ``key``."""
    here: Any = tree
    for part in key:
        if not isinstance(here, Mapping) or part not in here:
            return True
        here = here[part]
    return False


def _takes(whole: Mapping[str, Any], key: tuple[str, ...]) -> bool:
    """Whether an experiment reads what is asked for: weights of a second network only where there is one."""
    model = whole.get("model")
    use = model.get("use") if isinstance(model, Mapping) else None
    if key == ("model", "pretrained"):
        return not (isinstance(model, Mapping) and model.get("imagenet"))
    return key != ("model", "cue_pretrained") or use in ("two_branch", "cross_attention")
