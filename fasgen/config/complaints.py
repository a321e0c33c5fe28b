"""From pydantic's errors to sentences that name the key, what it wants, what it got, where, and the nearest known key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from fasgen.config.document import Key
from fasgen.config.overrides import dotted
from fasgen.config.shapes import Shape, leaf_keys, resolve


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word closest to ``word``, or None if none is close."""
    folded = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), list(folded), n=1, cutoff=0.5)
    return folded[close[0]] if close else None


def unknown_key(root: type[BaseModel], key: Key) -> str:
    """The sentence for a key that does not exist, with the nearest one at its level or of its name anywhere."""
    _, here = resolve(root, key[:-1])
    models = [shape.model for shape in here.alternatives() if shape.model] if here else []
    known = sorted({name for model in models for name in model.model_fields})
    name, parent = str(key[-1]), key[:-1]
    guess = nearest(name, known)
    elsewhere = sorted(dotted(leaf) for leaf in leaf_keys(root) if leaf[-1] == name)
    hints = [dotted((*parent, guess))] if guess else elsewhere[:3]
    hint = f"; did you mean {' or '.join(hints)}?" if hints else "."
    level = f"Under {dotted(parent)}" if parent else "At the top"
    return f"{dotted(key)}: unknown key{hint} {level} the known keys are: {', '.join(known)}"


def _got(value: Any) -> str:
    """The value as YAML would have it; text in quotes, so that its type shows."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _sentence(root: type[BaseModel], key: Key, shape: Shape | None, error: Any) -> str:
    name = dotted(key) or "the configuration"
    if error["type"] == "extra_forbidden" or shape is None:
        return unknown_key(root, key)
    if error["type"] == "missing":
        return f"{name}: is required and wants {shape.words()}"
    if error["type"] in {"value_error", "assertion_error"}:
        return f"{name}: {error['ctx']['error']}"
    quote = isinstance(error["input"], int | float) and "text" in shape.words() and not isinstance(error["input"], bool)
    advice = "; quote it to make it text" if quote else ""
    return f"{name}: wants {shape.words()}, got {_got(error['input'])}{advice}"


def complain(root: type[BaseModel], failure: ValidationError, origin: Callable[[Key], str]) -> str:
    """All that is wrong, one line a key, in the order of the keys.

    Args:
        root: the model that refused.
        failure: pydantic's errors.
        origin: from a key, where it was written, for example ``fasgen.yaml, line 3``; empty where unknown.
    """
    lines: dict[Key, str] = {}
    for error in failure.errors(include_url=False):
        key, shape = resolve(root, error["loc"])
        if key not in lines:
            where = origin(key)
            lines[key] = (f"{where}: " if where else "") + _sentence(root, key, shape, error)
            if where.startswith("preset ") and shape is not None and error.get("input") is None:
                name = dotted(key)
                lines[key] = f"{where} comes without {name}: give {shape.words()}, for example {name}=PATH"
    if len(lines) == 1:
        return next(iter(lines.values()))
    return "\n".join([f"{len(lines)} settings are wrong:", *(f"  {line}" for line in lines.values())])
