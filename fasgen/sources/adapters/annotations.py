"""Lists, tables and mappings that a data set ships beside its pictures: read once, asked for every file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from fasgen.csv_reader import read_csv
from fasgen.errors import SourceError
from fasgen.sources.adapters.table import Annotation
from fasgen.sources.adapters.templates import fill, names_in
from fasgen.sources.odd import Oddities
from fasgen.sources.paths import escape

_BLOCK = 1 << 20
_SPACE = re.compile(r"[\s,]*")


class Annotations:
    """What the annotation files of one root say, by key.

    Args:
        declared: the table's annotations.
        root: the source's folder.
        paths: relative paths of all its files.
        odd: takes keys of which two records say different things.

    Attributes:
        used: relative paths of the files that were read.
        notes: what is not known because a file is missing.

    Raises:
        SourceError: a file cannot be read, or is not of its format.
    """

    def __init__(self, declared: tuple[Annotation, ...], root: Path, paths: Mapping[str, int], odd: Oddities) -> None:
        self.used: list[str] = []
        self.notes: list[str] = []
        self._tables: list[tuple[Annotation, dict[str, dict[str, str]]]] = []
        for one in declared:
            pattern = re.compile(one.file)
            files = sorted(path for path in paths if pattern.fullmatch(path))
            self.used += files
            if files:
                self._tables.append((one, _table(one, [root / path for path in files], odd)))
            elif one.without:
                self.notes.append(f"not known: {one.without}; there is no file {_readable(one.file)}")

    def say(self, values: dict[str, str]) -> None:
        """Add to a file's values what the annotations say of it."""
        for one, table in self._tables:
            key = fill(one.key, values)
            if key is not None and key in table:
                values.update(table[key])


def _readable(pattern: str) -> str:
    """A pattern for people: ``(?:train|test)_label\\.json`` as ``(train|test)_label.json``."""
    return pattern.replace("(?:", "(").replace("(?i)", "").replace("\\.", ".")


def _table(one: Annotation, files: list[Path], odd: Oddities) -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = {}
    needed = {name for text in (*one.says.values(), one.record_key or "{key}") for name in names_in(text)}
    coded = {name: [(re.compile(pattern), said) for pattern, said in codes.items()] for name, codes in one.codes.items()}
    # Data sets have few attacks and many files: equal records are one object.
    shared: dict[tuple[tuple[str, str], ...], dict[str, str]] = {}
    for file in files:
        for record in _records(one, file, needed):
            key = fill(one.record_key or "{key}", record)
            if key is None:
                continue
            said = {name: text for name, template in one.says.items() if (text := fill(template, record)) is not None}
            for name, codes in coded.items():
                found = next((more for pattern, more in codes if pattern.fullmatch(said.get(name, ""))), {})
                said.update(
                    {n: text for n, template in found.items() if (text := fill(template, {**record, **said})) is not None}
                )
            said = shared.setdefault(tuple(said.items()), said)
            if table.get(key, said) is not said:
                odd.see("doubled", escape(key), f"in {escape(file.name)}, and not with the same values")
            table[key] = said
    return table


def _records(one: Annotation, file: Path, needed: set[str]) -> Iterator[dict[str, str]]:
    try:
        if one.format == "lines":
            for line in file.read_text("utf-8-sig", "surrogateescape").splitlines():
                if text := line.strip():
                    yield {"key": text}
        elif one.format == "csv":
            yield from read_csv(file)
        else:
            for key, value in pairs(file):
                yield {"key": key, **_picked(value, needed)}
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(
            f"{escape(os.fspath(file))} cannot be read as {one.format}: {error}; fetch it anew, or move it out of the source"
        ) from error


def _picked(value: object, needed: set[str]) -> dict[str, str]:
    """The values of one JSON entry that are asked for: positions of a list, or names joined by dots."""
    found = {}
    for name in needed - {"key"}:
        here: object = value
        for part in name.split("."):
            if isinstance(here, list) and part.isdecimal() and int(part) < len(here):
                here = here[int(part)]
            elif isinstance(here, dict):
                here = here.get(part)
            else:
                here = None
        if isinstance(here, str | int | float) and not isinstance(here, bool):
            found[name] = str(here)
    return found


def pairs(file: Path) -> Iterator[tuple[str, object]]:
    """The entries of a JSON file that is one mapping, one at a time: such files reach hundreds of megabytes.

    Raises:
        ValueError: it is not one mapping.
    """
    decoder = json.JSONDecoder()
    with file.open(encoding="utf-8-sig") as stream:
        text, at, ended = stream.read(_BLOCK), 0, False
        at = _skip(text, 0)
        if text[at : at + 1] != "{":
            raise ValueError("one mapping was expected, { at its beginning")
        at += 1
        while True:
            at = _skip(text, at)
            if text[at : at + 1] == "}":
                return
            try:
                key, behind = decoder.raw_decode(text, at)
                colon = _skip(text, behind)
                if text[colon : colon + 1] != ":":
                    raise json.JSONDecodeError("a colon was expected", text, colon)
                value, behind = decoder.raw_decode(text, _skip(text, colon + 1))
                # A number at the end of the block may go on in the next one.
                if behind == len(text) and not ended:
                    raise json.JSONDecodeError("cut", text, behind)
            except json.JSONDecodeError:
                if ended:
                    raise
                more = stream.read(max(_BLOCK, len(text) - at))
                ended = not more
                text, at = text[at:] + more, 0
                continue
            if not isinstance(key, str):
                raise ValueError(f"a key is {key!r}, a text was expected")
            yield key, value
            at = behind


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
