"""The index, the data card and the Croissant metadata of a delivery, against the manifests that they are made from."""

from __future__ import annotations

from collections.abc import Iterator

from fasgen.audit.verification.findings import Finding, Learnt, remark, wrong
from fasgen.errors import StoreError
from fasgen.manifests.report.croissant import CROISSANT, encode_croissant
from fasgen.manifests.report.delivery import (
    CARD,
    INDEX,
    build_index,
    encode_card,
    encode_index,
    is_whole_card,
    read_index,
)
from fasgen.manifests.unit import committed_units

_AGAIN = "`fasgen run` writes it again"


def check_delivery(stage: Learnt) -> Iterator[Finding]:
    """All three are what the manifests give now; or whole, and of units that were there before, which is a warning.

    A run that ends before its end, and one that is killed between the two files, leaves them behind the manifests.
    """
    if not stage.plan.get("shipped") or not committed_units(stage.folder):
        return
    try:
        expected = build_index(stage.folder, stage.plan)
        croissant = encode_croissant(stage.folder, expected)
    except (StoreError, OSError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        yield wrong(stage.folder / INDEX, f"cannot be compared with the manifests: {error}")
        return
    found = {name: _read(stage, name) for name in (INDEX, CARD)}
    behind = found[INDEX] != encode_index(expected)
    if behind:
        yield from _index(stage, found[INDEX], expected)
    if found[CARD] != encode_card(expected):
        yield from _card(stage, found[CARD], behind)
    described = _read(stage, CROISSANT)
    if described is None:
        yield remark(stage.folder / CROISSANT, "is not there: `fasgen run` writes it")
    elif described != croissant and behind:
        yield remark(stage.folder / CROISSANT, f"is not of the units that are there by now: {_AGAIN}")
    elif described != croissant:
        yield wrong(stage.folder / CROISSANT, f"says other than the index: {_AGAIN}")


def _read(stage: Learnt, name: str) -> bytes | None:
    try:
        return (stage.folder / name).read_bytes()
    except OSError:
        return None


def _index(stage: Learnt, data: bytes | None, expected: dict[str, object]) -> Iterator[Finding]:
    path = stage.folder / INDEX
    if data is None:
        yield remark(path, "is not there yet: `fasgen run` writes it")
        return
    stored = read_index(data)
    if stored is None:
        yield wrong(path, f"has other bytes than were written: {_AGAIN}")
    elif stored.get("shards") != expected["shards"] or _without_counts(stored, expected) == _without_counts(expected, expected):
        # Other units, or manifests or whole stages above the delivery that have come or gone since.
        yield remark(path, f"is not of the units that are there by now: {_AGAIN}")
    else:
        yield wrong(path, f"says other than the manifests of the shards that it lists: {_AGAIN}")


def _card(stage: Learnt, data: bytes | None, behind: bool) -> Iterator[Finding]:
    path = stage.folder / CARD
    if data is None and behind:
        yield remark(path, "is not there yet: `fasgen run` writes it")
    elif data is None:
        yield wrong(path, f"is not there: {_AGAIN}")
    elif not is_whole_card(data):
        yield wrong(path, f"has other bytes than were written: {_AGAIN}")
    elif behind:
        yield remark(path, f"is not of the units that are there by now: {_AGAIN}")
    else:
        yield wrong(path, f"says other than the index: {_AGAIN}")


def _without_counts(index: dict[str, object], expected: dict[str, object]) -> dict[str, object]:
    """An index without what became of rows above the delivery, and of stages that are not there any more."""
    there = [one.get("plan_hash") for one in _stages(expected)]
    return {**index, "stages": [{**one, "rows": None} for one in _stages(index) if one.get("plan_hash") in there]}


def _stages(index: dict[str, object]) -> list[dict[str, object]]:
    stages = index.get("stages")
    return [one for one in stages if isinstance(one, dict)] if isinstance(stages, list) else []
