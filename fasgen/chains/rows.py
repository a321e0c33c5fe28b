"""What steps learn from and are made of, by content: rows of crops with the digests of their pictures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import generations, read_current
from fasgen.seen import Target
from fasgen.selection.row_sets import FOLDER, TEST, row_set
from fasgen.selection.selection import Selection, Selector
from fasgen.training.config import LoopConfig, StoreTraining

LEARNT = ("sample_id", "label", "subject", "domain", "payload_digest")
"""Columns of a crop that a training can tell apart."""


def has_crops(store: Path) -> bool:
    """Whether anything was cut there."""
    return bool(generations(store)) and bool(read_current(store))


def digest(*parts: object) -> str:
    """SHA-256 over parts as JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode("utf-8", "surrogateescape")).hexdigest()


def stores_of(config: LoopConfig) -> dict[str, Path]:
    """By ``faces`` and ``pairs``, the folders that a training reads."""
    found = {part: getattr(getattr(config, part, None), "path", None) for part in ("faces", "pairs")}
    return {part: path for part, path in found.items() if path is not None}


class Rows:
    """Rows of stores as they are now; what several trainings choose alike is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, Selection, bool], str] = {}

    def learnt(self, config: LoopConfig) -> str:
        """Digest of the rows that a training learns from: ids, labels, people and pictures.

        Of a store of which no spoof is read, live rows alone; of a folder of pictures, names, sizes and times.
        """
        parts = []
        for part, path in sorted(stores_of(config).items()):
            chosen = config.selector().selection if isinstance(config, StoreTraining) else Selection()
            parts.append([part, self._rows(path, chosen, part == "faces") if generations(path) else fingerprint(path)])
        return digest(parts)

    def crops(self, store: Path) -> str:
        """Digest of all crops of a store's photographs."""
        return self._rows(store, Selection(), False)

    def _rows(self, store: Path, chosen: Selection, live: bool) -> str:
        from fasgen.training.faces import rows_of_crops

        key = store, chosen, live
        if key not in self._known:
            rows = (row for _, _, row in rows_of_crops(store, Selector(chosen)) if not live or row["label"] == "live")
            self._known[key] = digest(sorted(json.dumps([row[name] for name in LEARNT]) for row in rows))
        return self._known[key]


def asked(config: LoopConfig) -> str:
    """What stands for `Rows.learnt` before there are crops: the choice itself, and two choices may yet be of the same rows."""
    chosen = [getattr(config, name, None) for name in ("protocol", "where", "splits")]
    return digest("asked", [[part, str(path)] for part, path in sorted(stores_of(config).items())], chosen)


def fold_digest(store: Path, protocol: str) -> str:
    """Digest of who is on which side of a fold."""
    return digest({side: sorted(keys) for side, keys in row_set(store, protocol).sides.items()})


def tested(store: Path, protocol: str) -> Target:
    """What a fold tests."""
    table = read_table(store / FOLDER / protocol / f"{TEST}.parquet", ("sample_id", "subject", "dataset"))
    return Target.of(zip(*(table[name].to_pylist() for name in ("sample_id", "subject", "dataset")), strict=True))


def fingerprint(path: Path) -> str:
    """Of files of others: names, sizes and times of change, without reading them."""
    whole = path if path.is_dir() else path.parent
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path] if path.is_file() else []
    return digest([[one.relative_to(whole).as_posix(), one.stat().st_size, one.stat().st_mtime_ns] for one in files])
