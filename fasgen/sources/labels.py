"""From a path to label, subject, attack type, device and split: by table, by pattern, by default, in this order."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import get_args

from fasgen.errors import SourceError
from fasgen.sources.config import DETAILS, FIELDS, Label, SourceConfig, Split
from fasgen.sources.paths import escape

LABELS = {
    **dict.fromkeys(("live", "real", "genuine", "bonafide", "bona_fide", "bona-fide", "bona fide"), "live"),
    **dict.fromkeys(("spoof", "attack", "fake"), "spoof"),
    "unknown": "unknown",
}
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}

_KNOWN = 1 << 16


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of a file. ``subject`` is prefixed by the data set; ``domain`` is DiffFAS's style key."""

    label: str
    subject: str | None
    attack_type: str | None
    device: str | None
    split: str | None
    domain: str
    attack_family: str | None = None
    attack_raw: str | None = None
    session: str | None = None
    lighting: str | None = None
    subject_is_pseudo: bool = False
    licence: str | None = None


def style_key(dataset: str, device: str | None, attack: str | None, label: str) -> str:
    """Data set, capture device and attack type: live of phone 1 and print of phone 1 are two styles (DiffFAS's pair lists)."""
    return f"{dataset}|{device or '?'}|{attack or label}"


class Labeller:
    """Reads labels off paths.

    Attributes:
        table: what the table says, by relative path; empty without a table.
        unmatched: number of labelled files that no pattern and no table row said anything of.
    """

    def __init__(self, config: SourceConfig) -> None:
        self._config = config
        compiled = [re.compile(text) for text in config.patterns]
        self._patterns = [(p, [(name, name.rstrip("0123456789")) for name in sorted(p.groupindex)]) for p in compiled]
        self._maps: dict[str, Mapping[str, str | None]] = {
            "label": config.label_map,
            "subject": config.subject_map,
            "attack_type": config.attack_type_map,
            "device": config.device_map,
            "split": config.split_map,
        }
        self.table = read_table(config.table, config.path) if config.table else {}
        self.unmatched = 0
        self._known: dict[tuple[tuple[str, str], ...], Labels] = {}

    def __call__(self, path: str) -> Labels:
        """Label one file.

        Args:
            path: relative path as ``os`` gives it.

        Raises:
            SourceError: a label or split was found that is none and that no map translates.
        """
        found = self._from_patterns(path)
        listed = self.table.get(path)
        if not found and listed is None:
            self.unmatched += 1
        found.update(listed or {})
        # Folders have few kinds of files and many of each.
        said = tuple(found.items())
        if said not in self._known:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[said] = self._labels(found, path)
        return self._known[said]

    def _labels(self, found: Mapping[str, str], path: str) -> Labels:
        values = {field: self._value(field, found.get(field), path) for field in FIELDS}
        label = values["label"] or "unknown"
        live = label == "live"
        attack = None if live else values["attack_type"]
        subject = values["subject"]
        return Labels(
            label=label,
            subject=f"{self._config.name}/{subject}" if subject else None,
            attack_type=attack,
            device=values["device"],
            split=values["split"],
            domain=style_key(self._config.name, values["device"], attack, label),
            attack_family=None if live else _printable(found.get("attack_family")),
            attack_raw=None if live else _printable(found.get("attack_raw")),
            session=_printable(found.get("session")),
            lighting=_printable(found.get("lighting")),
        )

    def _from_patterns(self, path: str) -> dict[str, str]:
        for pattern, groups in self._patterns:
            match = pattern.search(path)
            if match:
                found: dict[str, str] = {}
                for name, field in groups:
                    if text := match[name]:
                        found[field] = f"{found[field]}-{text}" if field in found else text
                return found
        return {}

    def _value(self, field: str, found: str | None, path: str) -> str | None:
        if not found:
            default: str | None = getattr(self._config, field)
            return default
        found = _printable(found) or found
        mapped = self._maps[field]
        if found in mapped:
            return mapped[found]
        if field not in ("label", "split"):
            return found
        known = (LABELS if field == "label" else SPLITS).get(found.lower())
        if known is None:
            allowed = ", ".join(get_args(Label if field == "label" else Split))
            raise SourceError(
                f"source {self._config.name}: {field} {found!r} of {escape(path)!r} is none of {allowed}; "
                f"translate it with {field}_map: {{{found!r}: ...}}"
            )
        return known


def read_table(file: Path, root: Path) -> dict[str, dict[str, str]]:
    """Read a CSV or parquet file of labels.

    Args:
        file: the table; a column ``path`` and any of the names in ``FIELDS`` and ``DETAILS``. Other columns are ignored.
        root: the source's folder; absolute paths in the table are taken relative to it.

    Returns:
        the non-empty values by relative path, in the table's order.

    Raises:
        SourceError: the file is missing or no table, has no column ``path``, names a path twice or one outside of ``root``.
    """
    try:
        records = list(_parquet(file) if file.suffix.lower() in (".parquet", ".pq") else _csv(file))
    except (OSError, ValueError, csv.Error) as error:
        raise SourceError(f"table {file} cannot be read: {error}; give a CSV or parquet file with a column 'path'") from error
    table: dict[str, dict[str, str]] = {}
    for number, record in enumerate(records, start=1):
        path = _relative(record.get("path") or "", root)
        if path is None:
            raise SourceError(f"table {file}: row {number} names {record.get('path')!r}, which is not a path below {root}")
        if path in table:
            raise SourceError(f"table {file}: row {number} names {escape(path)!r} a second time; keep one row a file")
        table[path] = {field: text for field in (*FIELDS, *DETAILS) if (text := (record.get(field) or "").strip())}
    return table


def _relative(path: str, root: Path) -> str | None:
    pure = PurePosixPath(path)
    if pure.is_absolute():
        base = PurePosixPath(os.fspath(root.absolute()))
        if not pure.is_relative_to(base):
            return None
        pure = pure.relative_to(base)
    return None if not pure.parts or ".." in pure.parts else str(pure)


def _csv(file: Path) -> Iterable[dict[str, str | None]]:
    with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
        reader = csv.DictReader(stream)
        if "path" not in (reader.fieldnames or ()):
            raise ValueError(f"no column 'path' among {', '.join(reader.fieldnames or ()) or 'no columns'}")
        for record in reader:
            yield {key: value for key, value in record.items() if isinstance(key, str) and isinstance(value, str)}


def _parquet(file: Path) -> Iterable[dict[str, str | None]]:
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file)
    if "path" not in table.column_names:
        raise ValueError(f"no column 'path' among {', '.join(table.column_names)}")
    wanted = [name for name in ("path", *FIELDS, *DETAILS) if name in table.column_names]
    for record in table.select(wanted).to_pylist():
        yield {key: _text(value) for key, value in record.items()}


def _printable(text: str | None) -> str | None:
    return escape(text) if text and not text.isprintable() else text or None


def _text(value: object) -> str | None:
    # Data frames turn integer columns with gaps into floats: subject 7.0 is subject 7.
    if isinstance(value, float):
        return None if value != value else str(int(value)) if value.is_integer() else str(value)
    return os.fsdecode(value) if isinstance(value, bytes) else None if value is None else str(value)
