"""A configuration as YAML that reads back as the same configuration."""

from __future__ import annotations

from typing import Any

import yaml

from fasgen.config.document import parse_value
from fasgen.config.root import Config


class _Dumper(yaml.SafeDumper):
    """Blocks, short lists in one line, and text in quotes wherever `parse_value` would take it for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _is_plain(text: str) -> bool:
    try:
        return bool(parse_value(text) == text)
    except yaml.YAMLError:
        return False


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else "'")


def _list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.Node:
    flow = not any(isinstance(item, dict) for item in items)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def as_yaml(config: Config) -> str:
    """Every key of ``config`` in the order of the models, as `fasgen.config.load` reads it."""
    plain = config.model_dump(mode="json")
    return yaml.dump(plain, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=120)
