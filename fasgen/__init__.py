"""fasgen: an offline, Ray-distributed pipeline that turns folders of faces into face anti-spoofing training data.

To Python it offers `run`, `Store`, `stage` and `reader`, and promises nothing else. Each is imported when it is first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fasgen import reader as reader
    from fasgen.api.runs import run as run
    from fasgen.api.single import stage as stage
    from fasgen.api.store import Store as Store
    from fasgen.pipeline.outcome import RunResult as RunResult

__version__ = "0.1.0"

__all__ = ["RunResult", "Store", "reader", "run", "stage"]

_WHERE = {
    "run": "fasgen.api.runs",
    "RunResult": "fasgen.pipeline.outcome",
    "Store": "fasgen.api.store",
    "stage": "fasgen.api.single",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name in __all__:
        return import_module(f"fasgen.{name}")
    raise AttributeError(f"module 'fasgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
