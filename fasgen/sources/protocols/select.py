"""A protocol laid over the rows of sources: which row is on which side, what is missing, and who is on two sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fasgen.errors import SourceError
from fasgen.sources.protocols.official import Listed, names_of
from fasgen.sources.protocols.protocol import Part, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

NEEDED = ("sample_id", "dataset", "path", "subject", "label", "frame")
"""Columns that a table must have; those that a protocol's conditions name may be missing, which is then said."""


@dataclass(frozen=True, slots=True)
class Sides:
    """A protocol over a table.

    Attributes:
        rows: by side, the rows of the table that are on it, in the table's order.
        missing: what the protocol asks for and the table does not have, a sentence each.
        shared: subjects on more than one side, with those sides; a subject of no row's.
        unknown: rows by side whose subject is not known, so that nothing can be said of them.
        differences: where the data set's own lists say other than the rules, a sentence each; the lists have it.
    """

    rows: dict[str, pa.Table]
    missing: tuple[str, ...]
    shared: dict[str, tuple[str, ...]]
    unknown: dict[str, int]
    differences: tuple[str, ...] = ()


def select(protocol: Protocol, table: pa.Table, lists: Mapping[str, Listed] | None = None) -> Sides:
    """Lay a protocol over source rows.

    Args:
        protocol: the protocol.
        table: rows with the columns ``NEEDED`` and those of ``fasgen.manifests.sources_file``; ``frame`` is the decoded index,
            null where it is not known yet.
        lists: the data set's own lists by side; what they name is on that side, whatever the rules derive.
    """
    if lists:
        return _by_lists(protocol, table, lists)
    if protocol.by_lists:
        why = f"{protocol.name} is defined by lists that ship with the data set: give their folder by --lists"
        nothing = {side: table.slice(0, 0) for side in protocol.sides}
        return Sides(nothing, (why,), {}, dict.fromkeys(nothing, 0))
    missing: list[str] = []
    rows: dict[str, pa.Table] = {}
    for side, parts in protocol.sides.items():
        mask = _none(table)
        for part in parts:
            found, complaints = _part(part, table)
            missing += [f"{side}: {complaint}" for complaint in complaints]
            mask = _or(mask, found)
        rows[side] = table.filter(mask)
    return Sides(rows, tuple(dict.fromkeys(missing)), shared_subjects(rows), {side: _nulls(one) for side, one in rows.items()})


def _by_lists(protocol: Protocol, table: pa.Table, lists: Mapping[str, Listed]) -> Sides:
    import pyarrow as pa
    import pyarrow.compute as pc

    datasets = {part.dataset for parts in protocol.sides.values() for part in parts}
    if len(datasets) > 1:
        raise SourceError(
            f"{protocol.name} is over {', '.join(sorted(datasets))}, and lists are of one data set: leave --lists out"
        )
    derived = None if protocol.by_lists else select(protocol, table)
    of_set = table.filter(pc.equal(table["dataset"], next(iter(datasets))))
    missing: list[str] = []
    differences: list[str] = []
    rows: dict[str, pa.Table] = {}
    columns = [of_set[name].to_pylist() for name in ("path", "label", "frame")]
    names = {path: names_of(path) for path in set(columns[0])}
    for side in protocol.sides:
        listed = lists.get(side)
        if listed is None:
            missing.append(f"{side}: there is no list of it")
            rows[side] = of_set.slice(0, 0)
            continue
        called = {path: next((name for name in some if name in listed.names), None) for path, some in names.items()}
        taken = [
            (name := called[path]) is not None and (frame is None or frame < listed.frames.get(name, frame + 1))
            for path, _, frame in zip(*columns, strict=True)
        ]
        rows[side] = of_set.filter(pa.array(taken, pa.bool_()))
        there = {name for name in called.values() if name is not None}
        if lacking := sorted(listed.names.keys() - there):
            missing.append(
                f"{side}: {len(lacking)} of {len(listed.names)} files of its lists are not there, such as {lacking[0]}"
            )
        other = {
            path for path, label, _ in zip(*columns, strict=True) if _contradicts(listed.names.get(called[path] or ""), label)
        }
        if other:
            differences.append(
                f"{side}: its lists label {len(other)} files otherwise than their names do, such as {min(other)}"
            )
        if derived is not None:
            differences += _differences(side, set(rows[side]["path"].to_pylist()), set(derived.rows[side]["path"].to_pylist()))
    unknown = {side: _nulls(one) for side, one in rows.items()}
    return Sides(rows, tuple(missing), shared_subjects(rows), unknown, tuple(differences))


def _contradicts(live: bool | None, label: str) -> bool:
    return live is not None and label in ("live", "spoof") and live != (label == "live")


def _differences(side: str, listed: set[str], derived: set[str]) -> Iterator[str]:
    for found, what in (
        (listed - derived, "its lists have {} files that the rules leave out"),
        (derived - listed, "its lists leave out {} files that the rules have"),
    ):
        if found:
            yield f"{side}: {what.format(len(found))}, such as {min(found)}"


def shared_subjects(rows: Mapping[str, pa.Table]) -> dict[str, tuple[str, ...]]:
    """Subjects on more than one side, with the sides, by subject."""
    sides: dict[str, list[str]] = {}
    for side, table in rows.items():
        for subject in table["subject"].unique().to_pylist():
            if subject is not None:
                sides.setdefault(subject, []).append(side)
    return {subject: tuple(found) for subject, found in sorted(sides.items()) if len(found) > 1}


def _part(part: Part, table: pa.Table) -> tuple[Any, list[str]]:
    """The mask of a part's rows, and what it misses."""
    import pyarrow.compute as pc

    here = pc.equal(table["dataset"], part.dataset)
    if not pc.any(here).as_py():
        return _none(table), [f"no rows of {part.dataset}: ingest it, or say which source it is with --as {part.dataset}=NAME"]
    complaints: list[str] = []
    within = here
    for name, values in part.where.items():
        within = _narrowed(within, table, part.dataset, name, values, "rows", complaints)
    chosen = _none(table)
    for label, condition in (("live", part.live), ("spoof", part.spoof)):
        if condition is None:
            continue
        mask = pc.and_(within, pc.equal(table["label"], label))
        if not pc.any(mask).as_py():
            # Where the rows were lost before, that has been said.
            if not complaints:
                complaints.append(f"{part.dataset} has no {label} rows there")
            continue
        for name, values in condition.items():
            mask = _narrowed(mask, table, part.dataset, name, values, f"{label} rows", complaints)
        chosen = _or(chosen, mask)
    if part.frames is not None:
        video = pc.and_(chosen, pc.equal(table["kind"], "video")) if "kind" in table.column_names else chosen
        unknown = pc.sum(pc.cast(pc.and_(video, pc.is_null(table["frame"])), "int64")).as_py() or 0
        if unknown:
            complaints.append(
                f"only the first {part.frames} frames count, but of {unknown} rows the frame is not known: run align first; "
                "they are taken whole"
            )
        chosen = pc.and_(chosen, pc.fill_null(pc.less(table["frame"], part.frames), True))
    if part.takes is not None and "frame_k" in table.column_names:
        taken, asked = part.takes
        further = pc.sum(pc.cast(pc.and_(chosen, pc.fill_null(pc.greater_equal(table["frame_k"], asked), False)), "int64"))
        if count := further.as_py() or 0:
            complaints.append(
                f"{asked} frames of a clip are asked for, of which {taken} counts here, and {count} rows of {part.dataset} are "
                "of further ones: they are left out; ingest it with frames: {policy: ssdg}, or take the protocol of ten frames"
            )
        chosen = pc.and_(chosen, pc.fill_null(pc.less(table["frame_k"], taken), True))
    return chosen, complaints


def _narrowed(
    mask: Any, table: pa.Table, dataset: str, name: str, values: tuple[str, ...], what: str, complaints: list[str]
) -> Any:
    """``mask`` and one condition; complains of a column, or of values, that no row has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column, refused = name.removeprefix("!"), name.startswith("!")
    if column not in table.column_names:
        complaints.append(f"the rows have no column {column}: ingest {dataset} anew")
        return _none(table)
    inside = table.filter(mask)[column]
    nulls = inside.null_count
    if nulls:
        hint = ": give the lists that ship with it by --lists" if column == "split" else ""
        complaints.append(f"{nulls} {what} of {dataset} have no {column}, so that their place is not known{hint}")
    have = sorted(str(value) for value in inside.unique().to_pylist() if value is not None)
    lacking = [value for value in values if value not in have]
    if lacking and not refused and len(inside) > nulls:
        complaints.append(f"{dataset} has no {what} with {column} {', '.join(lacking)} (it has {', '.join(have[:12])})")
    known = pc.is_in(table[column], value_set=pa.array(values, pa.string()))
    valid = pc.is_valid(table[column])
    return pc.and_(mask, pc.and_(valid, pc.invert(known) if refused else known))


def clips(table: pa.Table) -> dict[str, int]:
    """Files by label, whatever the number of their rows: what published counts count. A video that lies as stills is one."""
    files = list(_files(table))
    videos = table["video"].to_pylist() if "video" in table.column_names else [None] * len(files)
    pairs = {(file[0], video or file[1], file[2]) for file, video in zip(files, videos, strict=True)}
    return {label: sum(one[2] == label for one in pairs) for label in ("live", "spoof")}


def _files(table: pa.Table) -> Iterator[tuple[str, str, str]]:
    return zip(*(table[name].to_pylist() for name in ("dataset", "path", "label")), strict=True)


def _none(table: pa.Table) -> Any:
    import numpy as np
    import pyarrow as pa

    return pa.chunked_array([pa.array(np.zeros(table.num_rows, bool))])


def _or(one: Any, other: Any) -> Any:
    import pyarrow.compute as pc

    return pc.fill_null(pc.or_(one, other), False)


def _nulls(table: pa.Table) -> int:
    return int(table["subject"].null_count)
