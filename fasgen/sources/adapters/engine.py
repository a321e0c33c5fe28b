"""The one engine under all adapters: from a path, by a table, to what is known of the file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

from fasgen.sources.adapters.annotations import Annotations
from fasgen.sources.adapters.table import SAID, Family, Lookup, Rule, Table, stem_of
from fasgen.sources.adapters.templates import fill
from fasgen.sources.labels import Labels, style_key
from fasgen.sources.words import LABELS, SPLITS, reads_as_missing

NO_PATTERN = "no pattern matches it"
"""Why nothing is known of most files of which nothing is known."""
_FAMILIES = frozenset(get_args(Family))


@dataclass(frozen=True, slots=True)
class Found:
    """What a table knows of one file.

    Attributes:
        labels: what the rows carry.
        rule: the rule that matched.
        marks: relative path of the file of boxes or eye positions, and its format; None without one.
        wanted: relative paths at which such a file may lie.
    """

    labels: Labels
    rule: Rule
    marks: tuple[str, str] | None
    wanted: tuple[str, ...]


class _Codes:
    """A table of codes whose answers are kept: data sets have few codes and many files."""

    def __init__(self, codes: Mapping[str, Mapping[str, str]]) -> None:
        self._entries = [(re.compile(pattern), said) for pattern, said in codes.items()]
        self.find = lru_cache(maxsize=1 << 14)(self._find)

    def _find(self, code: str) -> Mapping[str, str] | None:
        return next((said for pattern, said in self._entries if pattern.fullmatch(code)), None)


class Engine:
    """A table, compiled.

    Args:
        table: the adapter.
        dataset: name of the source; prefixes subjects and style keys.
        annotations: the data set's own lists and tables, read.
        licence: licence tag that the user gave the source; None: the table's.

    Attributes:
        absent: words that read as missing, by the name of the value, with the number of files.
    """

    def __init__(self, table: Table, dataset: str, annotations: Annotations, licence: str | None = None) -> None:
        self.table = table
        self.absent: Counter[tuple[str, str]] = Counter()
        self._dataset, self._annotations = dataset, annotations
        self._licence = licence or table.licence
        self._rules = [
            (re.compile(rule.path), frozenset(rule.extensions), rule, [(one, _Codes(one.codes)) for one in rule.lookups])
            for rule in table.rules
        ]
        self._ignored = [(re.compile(one.path), one.why) for one in table.ignore]

    def fits(self, path: str) -> bool:
        """Whether a file of this path would become rows."""
        return isinstance(self(path), Found)

    def ignored(self, path: str) -> str | None:
        """Why a file is no sample although it belongs to the data set, or None."""
        return next((why for pattern, why in self._ignored if pattern.fullmatch(path)), None)

    def __call__(
        self, path: str, extra: Mapping[str, str] | None = None, beside: Mapping[str, int] | None = None
    ) -> Found | str:
        """What is known of the file at ``path``, or why nothing is.

        Args:
            path: relative path.
            extra: values that an archive says of its member.
            beside: sizes of all files by relative path, to find boxes in.
        """
        stem, extension = stem_of(path)
        # A member of an archive has a name of its own, whose dots are no extension.
        member = extra is not None
        for pattern, extensions, rule, lookups in self._rules:
            if (extension not in extensions and not member) or (rule.container or "").startswith("joblib") != member:
                continue
            match = pattern.fullmatch(path if member else stem)
            if match is not None:
                values = {name: text for name, text in match.groupdict().items() if text is not None}
                values.update(extra or {}, stem=stem, path=path)
                return self._known(path, rule, lookups, values, beside or {})
        return NO_PATTERN

    def _known(
        self,
        path: str,
        rule: Rule,
        lookups: Iterable[tuple[Lookup, _Codes]],
        values: dict[str, str],
        beside: Mapping[str, int],
    ) -> Found | str:
        _say(rule.says, values)
        for lookup, codes in lookups:
            code = fill(lookup.by, values)
            if code is None:
                continue
            said = codes.find(code)
            if said is None:
                return f"{code!r} is no code of {lookup.by}"
            _say(said, values)
        self._annotations.say(values)
        labels = self._labels(values)
        if isinstance(labels, str):
            return labels
        wanted = tuple(spot for marks in rule.marks if (spot := fill(marks.path, values)))
        spots = zip(wanted, rule.marks, strict=False)
        marks = next(((spot, one.spelt) for spot, one in spots if beside.get(spot)), None)
        return Found(labels, rule, marks, wanted)

    def _labels(self, values: Mapping[str, str]) -> Labels | str:
        said = {name: values.get(name) or None for name in SAID}
        for name, text in said.items():
            if text is not None and _is_absent(name, text):
                self.absent[name, text] += 1
                said[name] = None
        label = LABELS.get((said["label"] or "unknown").lower())
        if label is None:
            return f"label {said['label']!r} is none of live, spoof, unknown"
        split = SPLITS.get(said["split"].lower()) if said["split"] else None
        if said["split"] and split is None:
            return f"split {said['split']!r} is none of train, dev, test"
        family = said["attack_family"]
        if family is not None and family not in _FAMILIES:
            return f"attack family {family!r} is none of {', '.join(sorted(_FAMILIES))}"
        live = label == "live"
        attack = None if live else said["attack_type"]
        return Labels(
            label=label,
            subject=f"{self._dataset}/{said['subject']}" if said["subject"] else None,
            attack_type=attack,
            device=said["device"],
            split=split,
            domain=style_key(self._dataset, said["device"], attack, label),
            attack_family=None if live else family,
            attack_raw=None if live else said["attack_raw"],
            session=said["session"],
            lighting=said["lighting"],
            subject_is_pseudo=bool(said["subject"]) and said["subject_is_pseudo"] == "true",
            licence=said["licence"] or self._licence,
            video=said["video"],
        )


@lru_cache(maxsize=1 << 14)
def _is_absent(name: str, text: str) -> bool:
    return reads_as_missing(text) and not (name == "label" and text.lower() in LABELS)


def _say(said: Mapping[str, str], values: dict[str, str]) -> None:
    """Add what is said to the values; what lacks a value is not said."""
    for name, template in said.items():
        text = fill(template, values)
        if text is not None:
            values[name] = text
