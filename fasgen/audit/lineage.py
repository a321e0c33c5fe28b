"""Where a sample comes from and what became of it: up to the source, down to every product and its bytes in a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fasgen.audit.stage_rows import StageRows, read_stages, take
from fasgen.errors import StoreError
from fasgen.manifests.arrays import ArrayReader
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import generations, latest
from fasgen.manifests.sources_file import read_sources, source_names
from fasgen.manifests.tar import TarReader
from fasgen.manifests.unit import group_path, manifest_path, member_key, unit_facts

if TYPE_CHECKING:
    import pyarrow as pa

_COLUMNS = ("sample_id", "variant", "parent_ids", "unit", "row", "subject", "style_subject")
_KEY = re.compile(r"(?P<id>[^-./\0]+)(?:-(?P<variant>\d+))?")

ITSELF, PARENT, CHILD, CONTENT, STYLE = "itself", "made from", "made of it", "content", "style"


@dataclass(frozen=True)
class Piece:
    """One product of a row.

    Attributes:
        name: member of a tar, or array field.
        file: path inside the store.
        offset: first byte in that file.
        length: bytes there; of an array, as encoded.
    """

    name: str
    file: str
    offset: int
    length: int


@dataclass(frozen=True)
class Step:
    """One row that belongs to the answer.

    Attributes:
        role: what it is to the question: ``itself``, ``made from``, ``made of it``; ``content`` or ``style`` of a subject.
        key: sample id, with its variant where that is not 0.
        generation: folder in the store.
        current: whether this is the newest generation of its stage.
        row: all columns of the manifest's row.
        pieces: what of it lies where; empty for a row without a product.
        damage: why pieces could not be found; else empty.
    """

    role: str
    key: str
    generation: str
    current: bool
    row: dict[str, Any]
    pieces: list[Piece]
    damage: str = ""


@dataclass
class Trace:
    """An answer.

    Attributes:
        steps: rows: what it was made from, then its own, then what was made of it; each sample's in the order of the stages.
        sources: rows of the sources' listings, by sample id.
    """

    steps: list[Step] = field(default_factory=list)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)


def trace_sample(store: Path, name: str) -> Trace:
    """The whole line of one sample, over all generations.

    Args:
        store: the store.
        name: its id, or the id, a dash and the variant; a beginning of an id that no other sample has will do.

    Raises:
        StoreError: there is no such sample, several begin like that, or a manifest is damaged.
    """
    stages = _read(store)
    key = _resolve(store, stages, name)
    above = _closure({key}, lambda keys: _parents(stages, keys))
    below = _closure({key}, lambda keys: _children(stages, keys))
    roles = dict.fromkeys(above, PARENT) | dict.fromkeys(below, CHILD) | {key: ITSELF}
    return _answer(store, stages, roles)


def trace_subject(store: Path, subject: str) -> Trace:
    """All that came from a person: rows whose face or whose spoof style it is, and what was made of those.

    Raises:
        StoreError: no row has the subject, or a manifest is damaged.
    """
    stages = _read(store)
    roles = _of_subject(stages, "style_subject", subject, STYLE) | _of_subject(stages, "subject", subject, CONTENT)
    if not roles:
        known = _subjects(stages)
        near = get_close_matches(subject, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; {len(known)} subjects are known"
        raise StoreError(f"no row has the subject {subject!r}{hint} (fasgen show --columns subject)")
    below = _closure(set(roles), lambda keys: _children(stages, keys))
    return _answer(store, stages, dict.fromkeys(below, CHILD) | roles)


def _read(store: Path) -> list[StageRows]:
    stages = read_stages(generations(store), lambda schema: [name for name in schema.names if name in _COLUMNS])
    if not stages:
        raise StoreError(f"{store}: has no committed unit yet: `fasgen run` makes them")
    return stages


def _resolve(store: Path, stages: list[StageRows], name: str) -> str:
    import pyarrow.compute as pc

    match = _KEY.fullmatch(name)
    if match is None:
        raise StoreError(f"{name!r} is no sample's name: give an id, or an id, a dash and the number of the variant")
    begins: set[str] = set()
    for stage in stages:
        ids = stage.table["sample_id"]
        begins |= set(ids.filter(pc.starts_with(ids, match["id"])).to_pylist())
    found = {match["id"]} if match["id"] in begins else begins
    if len(found) > 1:
        few = ", ".join(sorted(found)[:3])
        raise StoreError(f"{len(found)} samples begin with {match['id']!r} ({few}, ...): give more of the id")
    key = member_key(next(iter(found)), int(match["variant"] or 0)) if found else name
    if not found or not any(_at(stage, {key}) for stage in stages):
        raise StoreError(f"{store}: no generation has a sample {name!r}; find ids with: fasgen show --columns sample_id,path")
    return key


def _closure(start: set[str], step: Callable[[set[str]], set[str]]) -> set[str]:
    """All that is reached from ``start``, without it."""
    seen, edge = set(start), set(start)
    while edge:
        edge = step(edge) - seen
        seen |= edge
    return seen - start


def _at(stage: StageRows, keys: Iterable[str]) -> dict[int, str]:
    """Rows of a stage's table that are about the keys, with the key of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = set(keys)
    ids = pa.array(sorted({key.partition("-")[0] for key in wanted}), pa.string())
    places = pc.indices_nonzero(pc.is_in(stage.table["sample_id"], value_set=ids)).to_pylist()
    found = take(stage.table.select(["sample_id", "variant"]), places).to_pylist()
    keyed = {place: member_key(row["sample_id"], row["variant"]) for place, row in zip(places, found, strict=True)}
    return {place: key for place, key in keyed.items() if key in wanted}


def _parents(stages: list[StageRows], keys: set[str]) -> set[str]:
    above: set[str] = set()
    for stage in stages:
        for row in take(stage.table, _at(stage, keys)).to_pylist():
            above |= set(row["parent_ids"] or ())
            if row["variant"]:
                above.add(row["sample_id"])
    return above


def _children(stages: list[StageRows], keys: set[str]) -> set[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted, plain = pa.array(sorted(keys), pa.string()), pa.array(sorted(key for key in keys if "-" not in key), pa.string())
    below: set[str] = set()
    for stage in stages:
        table = stage.table.combine_chunks()
        variants = pc.and_(pc.greater(table["variant"], 0), pc.is_in(table["sample_id"], value_set=plain))
        places = set(pc.indices_nonzero(variants).to_pylist())
        lists = table["parent_ids"].combine_chunks()
        hits = pc.indices_nonzero(pc.is_in(pc.list_flatten(lists), value_set=wanted))
        places |= set(pc.list_parent_indices(lists).take(hits).to_pylist())
        found = take(table.select(["sample_id", "variant"]), sorted(places)).to_pylist()
        below |= {member_key(row["sample_id"], row["variant"]) for row in found}
    return below


def _of_subject(stages: list[StageRows], column: str, subject: str, role: str) -> dict[str, str]:
    import pyarrow.compute as pc

    roles: dict[str, str] = {}
    for stage in stages:
        found = stage.table.filter(pc.fill_null(pc.equal(stage.table[column], subject), False))
        names = zip(found["sample_id"].to_pylist(), found["variant"].to_pylist(), strict=True)
        roles.update((member_key(sample_id, variant), role) for sample_id, variant in names)
    return roles


def _subjects(stages: list[StageRows]) -> list[str]:
    import pyarrow.compute as pc

    columns = [stage.table[column] for stage in stages for column in ("subject", "style_subject")]
    names = {name for column in columns for name in pc.unique(column).to_pylist()}
    return sorted(name for name in names if name is not None)


def _answer(store: Path, stages: list[StageRows], roles: dict[str, str]) -> Trace:
    newest = {generation.folder for generation in latest(store)}
    trace = Trace()
    for stage in stages:
        found = _at(stage, roles)
        by_unit: dict[int, list[tuple[int, str]]] = {}
        for place, key in found.items():
            by_unit.setdefault(stage.table["unit"][place].as_py(), []).append((place, key))
        for unit, rows in sorted(by_unit.items()):
            trace.steps += _steps(store, stage, unit, [key for _, key in sorted(rows)], roles, stage.folder in newest)
    rank = {role: number for number, role in enumerate((PARENT, CONTENT, STYLE, ITSELF, CHILD))}
    met = {key: number for number, key in enumerate(dict.fromkeys(step.key for step in trace.steps))}
    trace.steps.sort(key=lambda step: (rank[step.role], met[step.key]))
    trace.sources = _sources(store, {key.partition("-")[0] for key in roles})
    return trace


def _steps(store: Path, stage: StageRows, unit: int, keys: list[str], roles: dict[str, str], current: bool) -> Iterator[Step]:
    wanted = set(keys)
    rows = [
        (key, row)
        for row in read_table(manifest_path(stage.folder, unit)).to_pylist()
        if (key := member_key(row["sample_id"], row["variant"])) in wanted
    ]
    pieces: dict[str, list[Piece]] = {}
    damage = ""
    try:
        pieces = _pieces(store, stage.folder, unit, rows)
    except (StoreError, IndexError) as error:
        damage = str(error)
    for key, row in rows:
        yield Step(roles[key], key, stage.folder.name, current, row, pieces.get(key, []), damage)


def _pieces(store: Path, folder: Path, unit: int, rows: list[tuple[str, dict[str, Any]]]) -> dict[str, list[Piece]]:
    facts = unit_facts(folder, unit)
    out: dict[str, list[Piece]] = {key: [] for key, row in rows if row["array_index"] is not None}
    if facts.tar:
        tar = folder / facts.tar
        with TarReader(tar) as reader:
            for member in reader.members.values():
                key = member.name.partition(".")[0]
                if key in out:
                    out[key].append(Piece(member.name, tar.relative_to(store).as_posix(), member.offset, member.size))
    for name in facts.arrays:
        with ArrayReader(group_path(folder, unit) / name) as array:
            for key, row in rows:
                place = array.place(row["array_index"]) if key in out else None
                if place is not None:
                    out[key].append(Piece(name, place[0].relative_to(store).as_posix(), place[1], place[2]))
    return out


def _sources(store: Path, ids: set[str]) -> dict[str, dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(ids), pa.string())
    out: dict[str, dict[str, Any]] = {}
    for name in source_names(store):
        listing: pa.Table = read_sources(store, name)
        for row in listing.filter(pc.is_in(listing["sample_id"], value_set=wanted)).to_pylist():
            out[row["sample_id"]] = row
    return out
