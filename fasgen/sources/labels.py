"""From a path to label, subject, attack type, device and split: by table, by pattern, by default, in this order."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from fasgen.errors import SourceError
from fasgen.sources.config import FIELDS, Label, SourceConfig, Split
from fasgen.sources.label_table import read_table
from fasgen.sources.odd import Oddities
from fasgen.sources.paths import escape
from fasgen.sources.patience import Search
from fasgen.sources.words import LABELS, SPLITS, reads_as_missing

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
    video: str | None = None


def style_key(dataset: str, device: str | None, attack: str | None, label: str) -> str:
    """Data set, capture device and attack type: live of phone 1 and print of phone 1 are two styles (DiffFAS's pair lists)."""
    return f"{dataset}|{device or '?'}|{attack or label}"


class Labeller:
    """Reads labels off paths.

    Attributes:
        table: what the table says, by relative path; empty without a table.
        odd: takes files that no pattern and no row of the table said anything of, and words that read as missing.
    """

    def __init__(self, config: SourceConfig, odd: Oddities | None = None, search: Search | None = None) -> None:
        self._config, self._search = config, search or Search()
        compiled = [re.compile(text) for text in config.patterns]
        self._patterns = [(p, [(name, name.rstrip("0123456789")) for name in sorted(p.groupindex)]) for p in compiled]
        self._maps: dict[str, dict[str, str | None]] = {
            field: {_composed(found): meant for found, meant in getattr(config, f"{field}_map").items()} for field in FIELDS
        }
        self.odd = odd or Oddities()
        self.table = read_table(config.table, config.path, self.odd) if config.table else {}
        self._kind = "no_pattern" if config.patterns else "not_listed" if config.table else ""
        self._counted = [0] * len(compiled)
        self._unused = {field for field, meant in self._maps.items() if meant}
        self._absent: Counter[tuple[str, str]] = Counter()
        self._known: dict[tuple[tuple[tuple[str, str], ...], ...], tuple[Labels, tuple[tuple[str, str], ...]]] = {}

    def __call__(self, path: str) -> Labels:
        """Label one file.

        Args:
            path: relative path as ``os`` gives it.

        Raises:
            SourceError: a label or split was found that is none and that no map translates.
        """
        self._search.path = path
        found = self._from_patterns(path)
        self._search.path = None
        listed = self.table.get(path)
        if self._kind and not found and listed is None:
            self.odd.see(self._kind, escape(path))
        # Folders have few kinds of files and many of each.
        said = (tuple(found.items()), tuple(listed.items()) if listed else ())
        known = self._known.get(said)
        if known is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            absent = tuple(one for part in said for one in part if self._is_absent(*one))
            values = {field: text for part in said for field, text in part if (field, text) not in absent}
            known = self._known[said] = self._labels(values, path), absent
        labels, absent = known
        if absent:
            self._absent.update(absent)
        return labels

    def finish(self, examples: Sequence[str]) -> None:
        """Tell what was odd, when all files have been labelled.

        Args:
            examples: relative paths of some of them, for the message.

        Raises:
            SourceError: a pattern matches no file.
        """
        for number, pattern in enumerate(self._config.patterns):
            if not self._counted[number]:
                raise SourceError(self._fits_nothing(number, pattern, examples))
        for (field, text), count in self._absent.most_common():
            self.odd.see("missing", text, f"{field} of {count:,} files" if count > 1 else field, count)
        for field in FIELDS:
            if field in self._unused:
                self.odd.see("idle", ", ".join(self._maps[field]), f"{field}_map")

    def _fits_nothing(self, number: int, pattern: str, examples: Sequence[str]) -> str:
        told = f"source {self._config.name}: the pattern {pattern!r} "
        own = re.compile(pattern)
        if before := next((path for path in examples if own.search(path)), None):
            return f"{told}never counts: {escape(before)!r} is matched by one before it; put it first, or take it out"
        loose = re.compile(pattern, re.IGNORECASE)
        near = next((path for path in examples if loose.search(path)), None)
        change = "put (?i) at its beginning, so that case does not count" if near else "mend it, or take it out"
        return (
            f"{told}matches no file below {self._config.path}, for example not {escape(near or examples[0])!r}: it is searched "
            f"in the path relative to that folder; {change}"
        )

    def _is_absent(self, field: str, text: str) -> bool:
        return (
            reads_as_missing(text)
            and text not in self._maps.get(field, ())
            and not (field == "label" and text.lower() in LABELS)
        )

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
            video=_printable(found.get("video")),
        )

    def _from_patterns(self, path: str) -> dict[str, str]:
        composed = path if path.isascii() else _composed(path)
        for number, (pattern, groups) in enumerate(self._patterns):
            match = pattern.search(composed)
            if match:
                self._counted[number] += 1
                found: dict[str, str] = {}
                for name, field in groups:
                    if field == "video" and match[name]:
                        # Clips are numbered anew in each folder: what lies before the group is part of the name.
                        found[field] = composed[: max(match.end(name), len(found.get(field, "")))]
                    elif text := match[name]:
                        found[field] = _joined(found[field], text) if field in found else text
                return found
        return {}

    def _value(self, field: str, found: str | None, path: str) -> str | None:
        if not found:
            default: str | None = getattr(self._config, field)
            return default
        found = _printable(found) or found
        mapped = self._maps[field]
        if found in mapped:
            self._unused.discard(field)
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


def _composed(text: str) -> str:
    """Text with its letters composed (NFC), so that a name is not two for having come from two machines."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _joined(first: str, second: str) -> str:
    """Two parts of a value; where one of them reads as missing, all of it does."""
    return next((part for part in (first, second) if reads_as_missing(part)), f"{first}-{second}")


def _printable(text: str | None) -> str | None:
    """Text on one line, without blanks around it."""
    if not text:
        return None
    text = _composed(text).strip()
    return (text if text.isprintable() else escape(text)) or None
