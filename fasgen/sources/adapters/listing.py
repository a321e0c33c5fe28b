"""All files of a root through the engine: what becomes rows, what is left out and why, what nobody knows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fasgen.errors import SourceError
from fasgen.sources.adapters.annotations import Annotations
from fasgen.sources.adapters.engine import Engine, Found
from fasgen.sources.adapters.roots import advice
from fasgen.sources.adapters.table import Table
from fasgen.sources.odd import Oddities
from fasgen.sources.paths import escape
from fasgen.sources.patience import Search


@dataclass
class Ingested:
    """What a table makes of a root.

    Attributes:
        files: by relative path, what is known of a file and its size in bytes.
        left_out: why known files are no rows, with counts.
        unknown: by relative path, why nothing is known of a file.
        notes: what a user should know of the data set's own lists and boxes.
    """

    files: dict[str, tuple[Found, int]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    unknown: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def ingest(
    table: Table,
    dataset: str,
    root: Path,
    paths: Mapping[str, int],
    licence: str | None = None,
    odd: Oddities | None = None,
    search: Search | None = None,
) -> Ingested:
    """Label every file of a root. Nothing but annotations, and the lists inside archives, is read.

    Args:
        table: the adapter.
        dataset: name of the source.
        root: its folder.
        paths: size in bytes of every file by relative path.
        licence: licence tag that the user gave; None: the table's.
        odd: takes names that lists and archives hold twice, and words that read as missing.
        search: is told what is being searched.

    Raises:
        SourceError: not one file fits the table, or an annotation cannot be read.
    """
    odd, search = odd or Oddities(), search or Search()
    annotations = Annotations(table.annotations, root, paths, odd)
    engine = Engine(table, dataset, annotations, licence)
    out = Ingested(notes=list(annotations.notes))
    used = set(annotations.used)
    repeats: dict[str, tuple[Found, int]] = {}
    members, opened = _members(table, root, paths, odd)
    for path, size in paths.items():
        if path in opened:
            continue
        search.path = path
        found = engine(path, None, paths)
        if isinstance(found, Found):
            (repeats if found.rule.repeats else out.files)[path] = (found, size)
        elif path not in used:
            out.unknown[path] = found
    for path, extra in members.items():
        search.path = path
        found = engine(path, extra, paths)
        if isinstance(found, Found):
            out.files[path] = (found, 0)
        else:
            out.unknown[path] = found
    search.path = None
    if repeats and not out.files:
        out.files, repeats = repeats, {}
    if not out.files:
        raise SourceError(f"source {dataset}: {advice(engine, root, paths, out.unknown)}")
    out.left_out.update(found.rule.repeats for found, _ in repeats.values())
    out.left_out.update({"list or table of the data set": len(used)} if used else {})
    out.left_out.update({"archive, its members are rows": len(opened)} if opened else {})
    _set_aside(engine, out, paths, repeats)
    for (name, text), count in engine.absent.most_common():
        odd.see("missing", text, f"{name} of {count:,} files" if count > 1 else name, count)
    return out


def _set_aside(engine: Engine, out: Ingested, paths: Mapping[str, int], repeats: Mapping[str, tuple[Found, int]]) -> None:
    """Take from the unknown files those that belong to others, or that the table ignores; note missing and empty boxes."""
    beside = {spot for found, _ in (*out.files.values(), *repeats.values()) for spot in found.wanted}
    claimed = [path for path in out.unknown if path in beside]
    for path in claimed:
        del out.unknown[path]
    empty = sum(1 for path in claimed if paths[path] == 0)
    if claimed:
        out.left_out["boxes or eye positions of a file"] = len(claimed)
    if empty:
        out.notes.append(f"boxes or eye positions of {empty:,} {'file' if empty == 1 else 'files'} are empty")
    without = sum(1 for found, _ in out.files.values() if found.wanted and found.marks is None)
    if claimed and without > empty:
        lacking = without - empty
        out.notes.append(f"boxes or eye positions of {lacking:,} {'file' if lacking == 1 else 'files'} are not there")
    for path in list(out.unknown):
        if why := engine.ignored(path):
            out.left_out[why] += 1
            del out.unknown[path]


def _members(table: Table, root: Path, paths: Mapping[str, int], odd: Oddities) -> tuple[dict[str, dict[str, str]], set[str]]:
    """What archives say of their members, by the path that a member has, and the archives."""
    if not table.archives:
        return {}, set()
    import re

    from fasgen.sources.contained.joblib_archive import list_members

    found: dict[str, dict[str, str]] = {}
    opened = set()
    for archive in table.archives:
        for path in sorted(paths):
            if re.fullmatch(archive.path, path):
                opened.add(path)
                for name, extra in list_members(root / path):
                    if (member := f"{path}/{name}") in found:
                        odd.see("doubled", escape(member))
                    found[member] = extra
    return found, opened
