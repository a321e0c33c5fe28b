"""What Hugging Face's `datasets` and MLCommons' `mlcroissant` read of a delivery, as JSON: run in an environment that has them.

python tests/loaders.py DELIVERY SCRATCH
"""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

_DELIVERY, _SCRATCH = (Path(word).absolute() for word in sys.argv[1:3])

# Both read where their caches lie when they are imported. Croissant's knows files by their names alone.
os.environ |= {"HF_HOME": str(_SCRATCH / "hf"), "CROISSANT_CACHE": str(_SCRATCH / "croissant"), "HF_HUB_OFFLINE": "1"}

import datasets  # noqa: E402
import mlcroissant  # noqa: E402


def with_datasets() -> dict[str, Any]:
    """The shards by the types of the first samples, and the folder by its card."""
    datasets.disable_progress_bars()
    shards = sorted(map(str, _DELIVERY.glob("fas-*.tar")))
    rows = datasets.load_dataset("webdataset", data_files={"train": shards}, split="train")
    folder = datasets.load_dataset(str(_DELIVERY), split="train")
    streamed = datasets.load_dataset(str(_DELIVERY), split="train", streaming=True)
    return {
        "json": {row["__key__"]: row["json"] for row in rows.select_columns(["__key__", "json"])},
        "size": rows[0]["png"].size,
        "cue": rows[0]["residual.npy"],
        "folder": len(folder),
        "alike": folder.features == rows.features,
        "streamed": sum(1 for _ in streamed),
    }


def with_croissant() -> dict[str, Any]:
    """Every record of every record set; pictures by their sizes."""
    data = mlcroissant.Dataset(jsonld=str(_DELIVERY / "croissant.json"))
    found: dict[str, Any] = {"errors": sorted(data.metadata.issues.errors)}
    for name in ("samples", "images", "records"):
        found[name] = [{key: _plain(value) for key, value in record.items()} for record in data.records(name)]
    return found


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else getattr(value, "size", value)


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    print(json.dumps({"datasets": with_datasets(), "croissant": with_croissant()}, default=str))
