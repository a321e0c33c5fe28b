"""The configuration reference in Markdown, made from the models, so that it cannot say anything else than the code does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fasgen.config.loading import preset_names
from fasgen.config.root import root_model
from fasgen.config.shapes import Shape
from fasgen.downstream.config import Experiment, TrainerLoop
from fasgen.stages import specs
from fasgen.training.config import LoopConfig

_INTRODUCTION = """\
# Configuration

<!-- Made by `fasgen config --reference > docs/configuration.md`; a test compares the two. -->

A configuration is a YAML mapping, `fasgen.yaml` in the current folder or the file that `--config` names. Any value can be
given on the command line too, as `key.below=value`; the value is YAML (`defake.t=600`, `sources=photos`,
`pack.labels=[live, spoof]`, `sources.0.frames=5`). Later wins: the defaults below, the preset, the file, the command line.

- An unknown key, a wrong type or a value out of range is refused before anything starts, with the key, the nearest known one
  and what it wants. Types are strict: `"5"` is no number, `5` is no text. `no` and `on` are text, as in YAML 1.2.
- Relative paths in the file are relative to the file's folder, those on the command line to the current folder.
- `fasgen config` prints what a file and settings come to, every default filled in.
- A setting of a stage is part of its plan hash: changing it makes a new generation of that stage and of those that read it.
- `fasgen train NAME` takes the keys of `train.NAME` without that prefix: `fasgen train dfg steps=1000`.

"""

_COMMON = """\
Settings of the loop, the same for every training unless its own table below says otherwise. The optimiser's defaults are
AG-FAS's.
"""

_SOURCES = """\
Instead of a list, `sources` may be one path, or one mapping; in a list, a bare path stands for `{path: ...}`. A source without
a name is called after its folder.
"""


_EXPERIMENT = """\
A file of its own, not part of `fasgen.yaml`. Under `variants` it may hold names, each with the settings that it lays over the
common part: `variants: {image: {model: {use: image}}, residual: {}}`. Settings on the command line hold for all variants.
"""


def reference() -> str:
    """Every key with its type, range, default and description. Depends on the code alone."""
    return _INTRODUCTION + "\n".join(_sections()).rstrip("\n") + "\n"


def _sections() -> Iterator[str]:
    root = root_model()
    rest = [name for name in root.model_fields if name not in {*specs(), "train"}]
    yield "## At the top\n"
    yield _table(root, "", rest)
    for name in rest:
        yield from _below(root.model_fields[name], name, _SOURCES if name == "sources" else "")
    for name, spec in specs().items():
        yield f"## `{name}`: {spec.summary}\n"
        yield _table(spec.config, f"{name}.", list(spec.config.model_fields))
        for key, field in spec.config.model_fields.items():
            yield from _below(field, f"{name}.{key}")
    if "train" in root.model_fields:
        yield from _trainings(root.model_fields["train"])
    yield from _experiment()
    yield "## Presets\n"
    yield "What `preset=NAME` lays over the defaults.\n"
    for name in preset_names():
        yield f"`{name}`:\n\n```yaml\n{files('fasgen.presets').joinpath(f'{name}.yaml').read_text('utf-8').rstrip()}\n```\n"


def _trainings(train: FieldInfo) -> Iterator[str]:
    yield "## `train.NAME`: what `fasgen train` does\n"
    yield _COMMON
    yield _table(LoopConfig, "train.NAME.", list(LoopConfig.model_fields))
    inner = _model(train)
    for name, field in inner.model_fields.items() if inner else ():
        config = _model(field)
        if config is None:
            continue
        own = [key for key, one in config.model_fields.items() if not _same(one, LoopConfig.model_fields.get(key))]
        yield f"### `train.{name}`: {field.description}\n"
        yield _table(config, f"train.{name}.", own)
        for key in own:
            yield from _below(config.model_fields[key], f"train.{name}.{key}", level="####")


def _experiment() -> Iterator[str]:
    yield "## A file of `fasgen experiment`\n"
    yield _EXPERIMENT
    yield _table(Experiment, "", list(Experiment.model_fields))
    for name, field in Experiment.model_fields.items():
        if name != "loop":
            yield from _below(field, name)
            continue
        yield f"### `loop`: {field.description}; further keys as of `train.NAME`, without `out` and `seed`\n"
        own = [key for key, one in TrainerLoop.model_fields.items() if not _same(one, LoopConfig.model_fields.get(key))]
        yield _table(TrainerLoop, "loop.", own)


def _below(field: FieldInfo, key: str, text: str = "", level: str = "###") -> Iterator[str]:
    """The tables of a mapping, or of a list's items, and of all that lies below it."""
    model = _model(field)
    if model is None:
        item = Shape.of(field).below(0)
        model = item.model if item else None
        key += ".N"
    if model is None:
        return
    default = field.get_default(call_default_factory=True)
    yield f"{level} `{key}`: {field.description}\n"
    if text:
        yield text
    yield _table(model, f"{key}.", list(model.model_fields), default if isinstance(default, model) else None)
    for name, inner in model.model_fields.items():
        yield from _below(inner, f"{key}.{name}", level=level)


def _model(field: FieldInfo) -> type[BaseModel] | None:
    return next((shape.model for shape in Shape.of(field).alternatives() if shape.model), None)


def _same(field: FieldInfo, other: FieldInfo | None) -> bool:
    return other is not None and repr(field) == repr(other)


def _table(model: type[BaseModel], prefix: str, names: list[str], given: BaseModel | None = None) -> str:
    """One row a key; defaults are those of ``given`` where there is one."""
    lines = ["| key | what it wants | default | meaning |", "| --- | --- | --- | --- |"]
    for name in names:
        field = model.model_fields[name]
        shape = Shape.of(field)
        if field.is_required():
            default = "required"
        elif _model(field):
            default = "see below"
        else:
            default = f"`{_value(getattr(given, name) if given else field.get_default(call_default_factory=True))}`"
        wants = "a mapping" if _model(field) else _items(shape)
        lines.append(f"| `{prefix}{name}` | {_cell(wants)} | {_cell(default)} | {_cell(field.description or '')} |")
    return "\n".join(lines) + "\n"


def _items(shape: Shape) -> str:
    """What a value must be; a list of mappings without the names of their keys, which have a table of their own."""
    below = shape.below(0)
    return "a list of mappings" if below and below.model else shape.words()


def _value(value: Any) -> str:
    """A default as one would write it in YAML."""
    if isinstance(value, Path):
        return value.name if value.is_absolute() else value.as_posix()
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*") if "`" not in text else text.replace("|", "\\|")
