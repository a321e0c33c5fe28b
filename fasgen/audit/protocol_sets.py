"""A protocol laid over a store: row sets under ``protocols/<name>/``, synthetic rows beside those they were made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fasgen.audit.own_files import claim
from fasgen.csv_reader import read_csv
from fasgen.errors import ConfigError, SourceError, StoreError
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.parquet import encode_table, read_table
from fasgen.manifests.plan_file import Generation, latest
from fasgen.manifests.products import cutter, units_of
from fasgen.manifests.sources_file import read_sources, source_names
from fasgen.manifests.unit import canonical_json, manifest_path
from fasgen.selection.row_sets import FOLDER, REPORT
from fasgen.sources.config import SourceConfig
from fasgen.sources.protocols import FAMILIES, PROTOCOLS, Protocol
from fasgen.sources.protocols.official import lists_in, read_lists
from fasgen.sources.protocols.select import Sides, clips, select

if TYPE_CHECKING:
    import pyarrow as pa

KEPT = ("sample_id", "variant", "synthetic", "dataset", "path", "frame_k", "frame", "subject", "label", "attack_type")
"""Columns of a row set."""

_WORDS = {"training": "train", "devel": "dev", "development": "dev", "val": "dev", "validation": "dev", "eval": "test"}


@dataclass(frozen=True, slots=True)
class Synthetic:
    """What became of synthetic rows.

    Attributes:
        train: rows that were made from nobody but people of the train side: they join it.
        elsewhere: rows made from people of one other side alone, or of people whom the protocol leaves out.
        mixed: sample ids of rows that mix people of different sides, with the sides; they join none.
    """

    train: pa.Table
    elsewhere: int
    mixed: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class ProtocolReport:
    """A protocol over a store.

    Attributes:
        protocol: the protocol.
        sides: source rows by side, and what is missing.
        synthetic: what became of synthetic rows.
        folder: where the row sets lie.
    """

    protocol: Protocol
    sides: Sides
    synthetic: Synthetic
    folder: Path

    @property
    def is_sound(self) -> bool:
        """Nothing is missing and nobody is on two sides."""
        return not (self.sides.missing or self.sides.shared or self.synthetic.mixed)

    def document(self) -> dict[str, Any]:
        """All of it as JSON."""
        return {
            "protocol": self.protocol.name,
            "family": self.protocol.family,
            "about": self.protocol.about,
            "notes": list(self.protocol.notes),
            "sides": {
                side: {
                    "rows": table.num_rows,
                    "clips": clips(table),
                    "subjects": len([one for one in table["subject"].unique().to_pylist() if one is not None]),
                    "rows_without_subject": self.sides.unknown[side],
                }
                for side, table in self.sides.rows.items()
            },
            "missing": list(self.sides.missing),
            "differences": list(self.sides.differences),
            "subjects_on_two_sides": {subject: list(found) for subject, found in self.sides.shared.items()},
            "synthetic": {
                "in_train": self.synthetic.train.num_rows,
                "elsewhere": self.synthetic.elsewhere,
                "mixing_sides": {sample: list(found) for sample, found in self.synthetic.mixed.items()},
            },
        }


def find_protocols(name: str) -> list[Protocol]:
    """A protocol by its name, or all folds of one: ``oulu-1``; ``oulu-3-2``, ``oulu-3/2`` or ``ocim/oci-to-m``;
    ``oulu-3``.

    Raises:
        ConfigError: there is none.
    """
    from difflib import get_close_matches

    family, slash, fold = name.partition("/")
    one = fold if slash and fold in FAMILIES.get(family, ()) else name.replace("/", "-")
    if one not in PROTOCOLS and name not in FAMILIES:
        near = get_close_matches(one.lower(), (*PROTOCOLS, *FAMILIES), n=3, cutoff=0.4)
        hint = f"; did you mean {', '.join(near)}?" if near else "."
        raise ConfigError(f"there is no protocol {name!r}{hint} `fasgen protocol` lists them")
    return [PROTOCOLS[fold] for fold in FAMILIES.get(name, (one,))]


def find_lists(protocol: Protocol, sources: Sequence[SourceConfig], aliases: Mapping[str, str]) -> Path | None:
    """The lists that ship with the protocol's data set, where one of the configured sources is it and has them."""
    datasets = {part.dataset for parts in protocol.sides.values() for part in parts}
    wanted = {aliases.get(dataset, dataset) for dataset in datasets} if len(datasets) == 1 else set()
    places = (one.path for one in sources if one.name in wanted and isinstance(one.path, Path))
    return next((found for place in places if (found := lists_in(place, protocol.name))), None)


def lay(
    store: Path,
    protocol: Protocol,
    aliases: Mapping[str, str] | None = None,
    lists: Path | None = None,
    *,
    photographs: bool = False,
) -> ProtocolReport:
    """Lay a protocol over a store and write its row sets: ``<side>.parquet`` and ``report.json``.

    Args:
        store: the store.
        protocol: the protocol.
        aliases: by data set of the protocol, the name of the source that is it.
        lists: a CSV file with columns ``name`` (path or file name, extension optional) and ``split``; or the folder of the data
            set's own lists, which outweigh the rules.
        photographs: leave out what was synthesised, so that the rows stay the same whatever is made of them.

    Raises:
        StoreError: the store has no listing, or one that is damaged; or a file of another lies where one is to be written.
        SourceError: the lists cannot be used.
    """
    import pyarrow as pa

    table = _source_rows(store, dict(aliases or {}))
    official = read_lists(protocol.name, lists) if lists is not None and lists.is_dir() else None
    if lists is not None and official is None:
        table = _with_splits(table, lists)
    sides = select(protocol, table, official)
    synthetic = _synthetic(() if photographs else _made(store), sides)
    folder = store / FOLDER / protocol.name
    rows = {side: _kept(one) for side, one in sides.rows.items()}
    if "train" in rows and synthetic.train.num_rows:
        rows["train"] = pa.concat_tables([rows["train"], synthetic.train])
    made = ProtocolReport(protocol, sides, synthetic, folder)
    for name in (REPORT, *(f"{side}.parquet" for side in rows)):
        claim(folder / name, "move it elsewhere")
    try:
        for side, one in rows.items():
            write_atomic(folder / f"{side}.parquet", encode_table(one))
        write_atomic(folder / REPORT, canonical_json(made.document()) + b"\n")
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}): free space or check permissions") from error
    return made


def _source_rows(store: Path, aliases: dict[str, str]) -> pa.Table:
    """All sources' rows, data sets under the protocol's names, with the decoded frame where the crop tells it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    names = source_names(store)
    if not names:
        raise StoreError(f"{store}: has no listing of a source yet: `fasgen ingest` or `fasgen run` makes one")
    for dataset, name in aliases.items():
        if name not in names:
            raise ConfigError(f"--as {dataset}={name}: the store has no source {name!r}; it has {', '.join(names)}")
    called = {name: dataset for dataset, name in aliases.items()}
    parts = []
    for name in names:
        part = read_sources(store, name).replace_schema_metadata(None)
        # Rows of people who were taken out keep their place in a listing and nothing else.
        part = part.filter(pc.is_valid(part["path"]))
        if name in called:
            at = part.column_names.index("dataset")
            part = part.set_column(at, "dataset", pa.array([called[name]] * part.num_rows, pa.string()))
        parts.append(part)
    table = pa.concat_tables(parts, promote_options="default")
    frames = _manifest_rows(cutter(store), ("sample_id", "frame"))
    where = pc.index_in(table["sample_id"], value_set=frames["sample_id"].combine_chunks())
    return table.append_column("frame", pc.take(frames["frame"].combine_chunks(), where).cast(pa.int32()))


def _manifest_rows(made: Generation | None, columns: tuple[str, ...]) -> pa.Table:
    """Columns of a generation; no row where there is none."""
    import pyarrow as pa

    types = {"frame": pa.int32(), "variant": pa.int32(), "parent_ids": pa.list_(pa.string())}
    empty = pa.table({name: pa.array([], types.get(name, pa.string())) for name in columns})
    parts = [
        read_table(manifest_path(folder, unit), columns).replace_schema_metadata(None).select(list(columns))
        for folder, unit in units_of(made)
    ]
    return pa.concat_tables([empty, *parts], promote_options="default")


def _with_splits(table: pa.Table, lists: Path) -> pa.Table:
    """``table`` with the splits that a list gives to the files it names, by path or by file name without extension."""
    import pyarrow as pa

    try:
        records = list(read_csv(lists, ("name", "split")))
    except (OSError, ValueError) as error:
        raise SourceError(f"--lists {lists}: cannot be read ({error}); give a CSV file with columns name and split") from error
    if not records:
        raise SourceError(f"--lists {lists}: wants the columns name and split, and at least one row")
    given: dict[str, str] = {}
    for number, record in enumerate(records, start=2):
        word = record["split"].lower()
        split = _WORDS.get(word, word)
        if split not in ("train", "dev", "test"):
            raise SourceError(f"--lists {lists}: line {number} has the split {record['split']!r}; write train, dev or test")
        given[_stem(record["name"])] = split
    old, paths = table["split"].to_pylist(), table["path"].to_pylist()
    new = [
        given.get(_stem(path)) or given.get(PurePosixPath(_stem(path)).name) or split
        for path, split in zip(paths, old, strict=True)
    ]
    return table.set_column(table.column_names.index("split"), "split", pa.array(new, pa.string()))


def _stem(path: str) -> str:
    pure = PurePosixPath(path.replace("\\", "/"))
    return str(pure.with_suffix("")) if pure.suffix else str(pure)


def _synthetic(made: Iterable[dict[str, Any]], sides: Sides) -> Synthetic:
    """Place what was synthesised by the people it was made from: parents, subject and lender of the style."""
    import pyarrow as pa

    of_sample: dict[str, str] = {}
    of_subject: dict[str, set[str]] = {}
    for side, table in sides.rows.items():
        of_sample.update(dict.fromkeys(table["sample_id"].to_pylist(), side))
        for subject in table["subject"].unique().to_pylist():
            if subject is not None:
                of_subject.setdefault(subject, set()).add(side)
    placed: dict[tuple[str, int], dict[str, Any]] = {}
    mixed: dict[str, tuple[str, ...]] = {}
    elsewhere = 0
    for row in made:
        key = (row["sample_id"], row["variant"])
        if key in placed:
            continue
        placed[key] = row
        people = [one for one in (row["subject"], row["style_subject"]) if one is not None]
        found = {of_sample.get(parent, "") for parent in row["parent_ids"] or ()} - {""}
        found |= {side for one in people for side in of_subject.get(one, ())}
        outside = any(one not in of_subject for one in people)
        row["side"] = "train" if found == {"train"} and not outside else ""
        if len(found) > 1:
            mixed[row["sample_id"]] = tuple(sorted(found))
        elif not row["side"]:
            elsewhere += 1
    rows = [row | {"synthetic": True} for row in placed.values() if row["side"]]
    schema = _kept(next(iter(sides.rows.values()))).schema
    return Synthetic(pa.Table.from_pylist([{n: row.get(n) for n in schema.names} for row in rows], schema), elsewhere, mixed)


def _made(store: Path) -> Iterable[dict[str, Any]]:
    """Rows of all stages that borrowed a style, as they stand in the newest generations."""
    import pyarrow.compute as pc

    columns = ("sample_id", "variant", "parent_ids", "status", "dataset", "path", "frame", "subject", "style_subject")
    for made in latest(store):
        rows = _manifest_rows(made, (*columns, "label", "attack_type"))
        yield from rows.filter(pc.and_(pc.is_valid(rows["style_subject"]), pc.equal(rows["status"], "ok"))).to_pylist()


def _kept(table: pa.Table) -> pa.Table:
    import pyarrow as pa

    added = {"variant": pa.array([0] * table.num_rows, pa.int32()), "synthetic": pa.array([False] * table.num_rows, pa.bool_())}
    return pa.table({name: added[name] if name in added else table[name] for name in KEPT})
