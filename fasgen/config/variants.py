"""One file that holds several configurations of a model: a common part, and under ``variants`` what each one changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from fasgen.config.anchors import anchor
from fasgen.config.complaints import complain
from fasgen.config.document import Key, read_document
from fasgen.config.overrides import parse_override, put
from fasgen.config.shapes import Shape
from fasgen.errors import ConfigError
from fasgen.stages.settings import merge

M = TypeVar("M", bound=BaseModel)


def load_variants(model: type[M], path: Path, overrides: Sequence[str] = ()) -> dict[str, M]:
    """Read a file into one configuration for each variant: defaults < common part < variant < overrides.

    Without ``variants`` there is one, called after the file. Relative paths in the file are relative to its folder, those in
    overrides to the current folder.

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

        try:
            out[str(name)] = model.model_validate_json(json.dumps(tree), strict=True)
        except ValidationError as error:
            raise ConfigError(complain(model, error, origin)) from None
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{path}: variant {name}: {error}") from error
    return out
