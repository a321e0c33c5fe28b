"""What a file of finished weights says of itself, in its own header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fasgen.manifests.atomic import write_atomic

_ALIGNED = 8
"""Headers of safetensors are padded to so many bytes."""


def inscribe(folder: Path, facts: Mapping[str, str]) -> None:
    """Add ``facts`` to the metadata of every safetensors file below ``folder``; tensors stay as they are.

    Keys are sorted: the library would write them in an order that differs from process to process, and with it the file's
    digest.
    """
    for path in sorted(folder.rglob("*.safetensors")):
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        header = json.loads(data[8:end])
        # Readers of other libraries ask for the format.
        known = {"format": "pt"} | header.pop("__metadata__", {}) | dict(facts)
        text = json.dumps({"__metadata__": dict(sorted(known.items())), **header}, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNED)
        write_atomic(path, len(text).to_bytes(8, "little") + text + data[end:])
