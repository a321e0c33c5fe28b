"""Row sets that ``fasgen protocol`` wrote into a store, ``protocols/<name>/<side>.parquet``, for whoever trains or tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.parquet import read_table

FOLDER = "protocols"
"""Below a store; a folder each protocol, or fold of one, is in it."""

REPORT = "report.json"
"""What a protocol found in the store; its ``family`` is the name that folds of one protocol share."""

TRAIN, DEV, TEST = SIDES = ("train", "dev", "test")

Key = tuple[str, int]
"""Sample id and variant: what was synthesised shares the id of its live face."""


@dataclass(frozen=True, slots=True)
class RowSet:
    """One protocol, or one fold of one.

    Attributes:
        name: as ``fasgen protocol`` knows it; of a fold, ``PROTOCOL/FOLD``.
        sides: by side, the rows on it; sides that the protocol does not have are empty.
        subjects: subject key by sample id, where it is known.
    """

    name: str
    sides: dict[str, frozenset[Key]]
    subjects: dict[str, str]


def row_sets(store: Path, name: str) -> list[RowSet]:
    """The row sets of a protocol, or of all folds of one that lie in a store.

    Args:
        store: the store.
        name: of a protocol (``oulu-1``), of one fold (``oulu-3/2``, ``ocim/oci-to-m``, or as its folder is called), or of a
            protocol with folds (``oulu-3``).

    Raises:
        StoreError: there are none of that name, or they are damaged.
    """
    folder = store / FOLDER
    there = {path.parent.name: path.parent for path in sorted(folder.glob(f"*/{REPORT}"))} if folder.is_dir() else {}
    if name in there:
        return [_read(there[name])]
    if folds := [path for path in there.values() if name in (_family(path), _called(path))]:
        return [_read(path) for path in folds]
    near = get_close_matches(name, there, n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near)}?" if near else ":" if not there else f"; there are {', '.join(there)};"
    raise StoreError(f"{folder}: has no row sets of a protocol {name!r}{hint} `fasgen protocol {name} {store}` writes them")


def row_set(store: Path, name: str) -> RowSet:
    """The one row set of that name.

    Raises:
        StoreError: there is none, there are several folds, or it is damaged.
    """
    found = row_sets(store, name)
    if len(found) > 1:
        raise StoreError(
            f"{store / FOLDER}: the protocol {name} has {len(found)} folds: name one, {', '.join(one.name for one in found)}"
        )
    return found[0]


def _called(folder: Path) -> str:
    """``PROTOCOL/FOLD``, or the folder's name."""
    family = _family(folder)
    return f"{family}/{folder.name.removeprefix(f'{family}-')}" if family else folder.name


def _family(folder: Path) -> str:
    try:
        found = parse_json((folder / REPORT).read_bytes())
        return str(found.get("family", ""))
    except (OSError, ValueError, AttributeError) as error:
        raise StoreError(f"{folder / REPORT}: is damaged ({error}): `fasgen protocol {folder.name}` writes it again") from None


def _read(folder: Path) -> RowSet:
    rows = {side: list(_rows(folder / f"{side}.parquet")) for side in SIDES}
    sides = {side: frozenset((sample, variant) for sample, variant, _ in some) for side, some in rows.items()}
    return RowSet(_called(folder), sides, {sample: who for some in rows.values() for sample, _, who in some if who is not None})


def _rows(path: Path) -> Iterator[tuple[str, int, str | None]]:
    if path.exists():
        table = read_table(path, ("sample_id", "variant", "subject"))
        yield from zip(*(table[name].to_pylist() for name in ("sample_id", "variant", "subject")), strict=True)
