"""JSON as files hold it that anybody may have written: whatever is wrong with it is one kind of error."""

from __future__ import annotations

import json
from typing import Any


def parse_json(data: bytes | str) -> Any:
    """The values of a JSON text.

    Raises:
        ValueError: it is none, or nests so deeply that it would cost the reader its stack.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("its brackets lie too deep in each other") from None
