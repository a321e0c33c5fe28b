"""Reading type annotations: which models and fields lie at a key, and what a field wants, in words."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fasgen.config.document import Key
from fasgen.remote.path import RemotePath

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    RemotePath: "an address",
    type(None): "null",
    dict: "a mapping",
    Any: "any value",
}
_SEQUENCES = (list, tuple, set, frozenset, Sequence)


@dataclass(frozen=True, slots=True)
class Shape:
    """An annotation with its constraints (objects of ``annotated_types``) and the field's default."""

    annotation: Any
    constraints: tuple[Any, ...] = ()
    default: Any = None

    @staticmethod
    def of(field: FieldInfo) -> Shape:
        return Shape(field.annotation, tuple(field.metadata), field.default)

    def alternatives(self) -> Iterator[Shape]:
        """The members of a union, or the shape itself; ``Annotated`` unwrapped."""
        origin = get_origin(self.annotation)
        if origin is Annotated:
            inner, *constraints = get_args(self.annotation)
            flat = [c for one in constraints for c in (one.metadata if isinstance(one, FieldInfo) else [one])]
            yield from Shape(inner, (*self.constraints, *flat)).alternatives()
        elif origin in (Union, types.UnionType):
            for member in get_args(self.annotation):
                yield from Shape(member, self.constraints).alternatives()
        else:
            yield self

    @property
    def model(self) -> type[BaseModel] | None:
        """The pydantic model this shape is, if it is one."""
        is_model = isinstance(self.annotation, type) and issubclass(self.annotation, BaseModel)
        return self.annotation if is_model else None

    def below(self, part: str | int) -> Shape | None:
        """The shape one step down, or None if no alternative has such a step."""
        for shape in self.alternatives():
            if shape.model is not None:
                if part in shape.model.model_fields:
                    return Shape.of(shape.model.model_fields[str(part)])
                continue
            origin, arguments = get_origin(shape.annotation), get_args(shape.annotation)
            if origin in _SEQUENCES and isinstance(part, int) and arguments:
                fixed = origin is tuple and Ellipsis not in arguments
                return Shape(arguments[min(part, len(arguments) - 1)] if fixed else arguments[0])
            if isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
                return Shape(arguments[1])
        return None

    def words(self) -> str:
        """What a value must be, for example ``a whole number from 1 to 1000, or null``."""
        words = list(dict.fromkeys(shape._words() for shape in self.alternatives()))
        return words[0] if len(words) == 1 else ", or ".join((", ".join(words[:-1]), words[-1]))

    def _words(self) -> str:
        annotation, origin, arguments = self.annotation, get_origin(self.annotation), get_args(self.annotation)
        if origin is Literal:
            return "one of " + ", ".join(str(value) for value in arguments) if len(arguments) > 1 else f"'{arguments[0]}'"
        if self.model is not None:
            return "a mapping with keys among " + ", ".join(self.model.model_fields)
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return "one of " + ", ".join(str(member.value) for member in annotation)
        if origin in _SEQUENCES or annotation in _SEQUENCES:
            return f"a list{_length(self.constraints)}{self._items(origin, arguments)}"
        word = _WORDS.get(origin if origin in _WORDS else annotation, getattr(annotation, "__name__", str(annotation)))
        if annotation is type(None):
            return word
        return word + (_length(self.constraints, " characters") if annotation is str else _range(self.constraints))

    @staticmethod
    def _items(origin: Any, arguments: tuple[Any, ...]) -> str:
        if not arguments:
            return ""
        if origin is tuple and Ellipsis not in arguments:
            same = len({repr(argument) for argument in arguments}) == 1
            inside = f", each {Shape(arguments[0]).words()}" if same else ": " + "; ".join(Shape(a).words() for a in arguments)
            return f" of exactly {len(arguments)}{inside}"
        return f", each {Shape(arguments[0]).words()}"


def _limits(constraints: Sequence[Any]) -> dict[str, Any]:
    names = ("ge", "gt", "le", "lt", "multiple_of", "min_length", "max_length", "pattern")
    return {n: getattr(c, n) for c in constraints for n in names if getattr(c, n, None) is not None}


def _range(constraints: Sequence[Any]) -> str:
    have = _limits(constraints)
    low = f"{have['ge']}" if "ge" in have else f"above {have['gt']}" if "gt" in have else ""
    high = f"{have['le']}" if "le" in have else f"below {have['lt']}" if "lt" in have else ""
    if "ge" in have and "le" in have:
        words = f" from {low} to {high}"
    elif low and high:
        words = f" {low if 'gt' in have else 'of at least ' + low} and {high if 'lt' in have else 'at most ' + high}"
    elif low:
        words = f" {low if 'gt' in have else 'of at least ' + low}"
    elif high:
        words = f" {high if 'lt' in have else 'of at most ' + high}"
    else:
        words = ""
    return words + (f", a multiple of {have['multiple_of']}" if "multiple_of" in have else "")


def _length(constraints: Sequence[Any], what: str = "") -> str:
    have = _limits(constraints)
    words = [f"at least {have['min_length']}{what}"] if have.get("min_length") else []
    words += [f"at most {have['max_length']}{what}"] if "max_length" in have else []
    size = f" of {' and '.join(words)}" if words else ""
    return size + (f" matching {have['pattern']}" if "pattern" in have else "")


def resolve(root: type[BaseModel], where: Sequence[str | int]) -> tuple[Key, Shape | None]:
    """Follow a pydantic error location through ``root``.

    Returns:
        the key as users write it (pydantic's names of union members left out) and the shape there; the shape is None where
        the last part is no known key.
    """
    here, key = Shape(root), []
    for position, part in enumerate(where):
        below = here.below(part)
        if below is not None:
            here = below
            key.append(part)
        elif position == len(where) - 1 and any(shape.model for shape in here.alternatives()):
            return (*key, part), None
    return tuple(key), here


def leaf_keys(model: type[BaseModel], prefix: Key = ()) -> Iterator[Key]:
    """Every key below ``model`` that leads through mappings only, with the mappings themselves."""
    for name, field in model.model_fields.items():
        yield (*prefix, name)
        for shape in Shape.of(field).alternatives():
            if shape.model is not None:
                yield from leaf_keys(shape.model, (*prefix, name))
