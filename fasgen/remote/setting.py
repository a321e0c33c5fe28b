"""A setting that is a path or an address."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, InstanceOf, PlainSerializer

from fasgen.remote.address import scheme_of
from fasgen.remote.path import RemotePath


def _placed(value: Any) -> Any:
    return RemotePath(value) if isinstance(value, str) and scheme_of(value) else value


Place = Annotated[Path | InstanceOf[RemotePath], BeforeValidator(_placed), PlainSerializer(str, when_used="json")]
"""Where something lies: on this machine, or at an address."""
