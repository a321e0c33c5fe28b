"""A chain over a toy store whose crops and folds are laid by hand: plans without a face being cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fasgen.chains.config import Chain
from tests.leaks.toy import lay_by_hand, split_store

FOLDS = [f"oulu-3-{number}" for number in range(1, 7)]

TRAIN = {
    "identity": {"faces": {"size": 32}, "batch": 4, "steps": 3},
    "autoencoder": {"faces": {"size": 32}, "batch": 4, "steps": 3},
    "dfg": {"faces": {"size": 32}, "batch": 4, "steps": 4, "autoencoder": "/$autoencoder", "identity": "/$identity"},
    "lgsc": {"faces": {"size": 32}, "batch": 4, "steps": 5},
}
DETECTOR = {
    "model": {"use": "image", "backbone": "resnet18-tiny"},
    "loss": {"kind": "softmax"},
    "loop": {"steps": 6, "batch": 4, "warmup": 0},
}


def chain(folder: Path, **more: Any) -> Chain:
    """A chain over OULU-NPU 3: cues by two trainings, two detectors and the score of a stage."""
    tree: dict[str, Any] = {
        "out": str(folder),
        "protocols": ["oulu-3"],
        "data": {"oulu-npu": {"path": str(folder)}},
        "settings": {"defake": {"weights": "/$dfg"}, "lgsc": {"enabled": True, "weights": "/$lgsc"}, "train": TRAIN},
        "detector": DETECTOR,
        "methods": {
            "image": {"detector": {}},
            "wide": {"detector": {"model": {"embedding": 16}}},
            "map": {"score": "lgsc_score"},
        },
    }
    return Chain.model_validate(tree | more)


def lay(folder: Path, sides: dict[str, dict[str, list[str]]] | None = None) -> Path:
    """The store of a chain; by fold, who is on which side, as `tests.leaks.toy` names people."""
    store = split_store(folder / "store")
    for fold in FOLDS:
        # The fifth and sixth train on the people of the first.
        train = {"oulu-3-2": ["ann", "cid"], "oulu-3-3": ["bob", "cid"], "oulu-3-4": ["cid"]}.get(fold, ["ann", "bob"])
        lay_by_hand(store, fold, (sides or {}).get(fold, {"train": train, "dev": ["dan"], "test": ["eve"]}), "oulu-3")
    return store
