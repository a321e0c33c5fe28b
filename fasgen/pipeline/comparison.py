"""Comparing a row that was made again with the stored one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.manifests.unit import UnitFacts
from fasgen.manifests.unit_reader import UnitReader
from fasgen.records import Scalar, Status

LEVELS = 2
"""Tolerance of images and integer arrays: no value differs by more."""

RELATIVE, ABSOLUTE = 1e-3, 1e-4
"""Tolerance of floating-point arrays and columns: ``|a - b| <= ABSOLUTE + RELATIVE |b|``."""

TOLERANCE = f"images and integers within {LEVELS}, real numbers within {ABSOLUTE:g} + {RELATIVE:g} of the stored one"

_PLACED = ("array_index", "member")
_DIGESTED = ("payload_digest", "payload_bytes")

Verdict = Literal["identical", "within tolerance", "different"]


@dataclass(frozen=True, slots=True)
class Pick:
    """One row to make again."""

    stage: str
    unit: int
    row: int
    variant: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of making a row again.

    Attributes:
        pick: the row.
        sample_id: its sample.
        verdict: ``identical`` bytes and columns; ``within tolerance`` (`TOLERANCE`); or ``different``.
        detail: what differs, and by how much; empty where nothing does.
    """

    pick: Pick
    sample_id: str
    verdict: Verdict
    detail: str = ""


@dataclass(slots=True)
class _Difference:
    """What was found to differ."""

    beyond: list[str] = field(default_factory=list)
    within: list[str] = field(default_factory=list)

    def add(self, name: str, by: float, limit: float) -> None:
        if by > 0:
            (self.beyond if by > limit else self.within).append(f"{name} by {by:.3g}")


def compare(pick: Pick, stored: UnitReader, made: UnitReader, facts: UnitFacts) -> Replayed:
    """What differs between a stored row and the same row made again.

    Raises:
        StoreError: one of the units has no such row.
    """
    old, new = stored.row(pick.row, pick.variant), made.row(pick.row, pick.variant)
    if old is None or new is None:
        raise StoreError(f"{pick.stage} unit {pick.unit}: has no row {pick.row}, variant {pick.variant}")
    sample_id = str(old["sample_id"])
    columns = [name for name in old if name not in _PLACED]
    if all(old[name] == new.get(name) for name in columns):
        return Replayed(pick, sample_id, "identical")
    if (old["status"], old["reason"]) != (new["status"], new["reason"]):
        was, now = (f"{row['status']} {row['reason'] or ''}".strip() for row in (old, new))
        return Replayed(pick, sample_id, "different", f"was {was}, is {now}: {new['detail'] or ''}".rstrip(": "))
    found = _Difference()
    for name in columns:
        if name not in _DIGESTED:
            _column(found, name, old[name], new.get(name))
    if old["status"] == Status.OK.value and old["payload_digest"] != new["payload_digest"]:
        _payload(found, pick, stored, made, facts)
    verdict: Verdict = "different" if found.beyond else "within tolerance"
    return Replayed(pick, sample_id, verdict, ", ".join(found.beyond or found.within))


def _column(found: _Difference, name: str, old: Scalar, new: Scalar) -> None:
    if old == new:
        return
    if name == "detail":
        # Figures in words; the reason itself is the same.
        found.within.append("the wording of the detail")
    elif isinstance(old, float | list) and isinstance(new, float | list):
        _numbers(found, f"column {name}", np.asarray(old), np.asarray(new))
    else:
        found.beyond.append(f"column {name}: {old} became {new}")


def _payload(found: _Difference, pick: Pick, stored: UnitReader, made: UnitReader, facts: UnitFacts) -> None:
    old, new = stored.members(pick.row, pick.variant), made.members(pick.row, pick.variant)
    if old != new:
        found.beyond.append(f"members {', '.join(sorted(set(old) ^ set(new)))}")
    for name in [name for name in old if name in new]:
        before, after = stored.file(pick.row, name, pick.variant), made.file(pick.row, name, pick.variant)
        if before == after:
            continue
        if not name.endswith("png"):
            found.beyond.append(f"member {name}")
            continue
        field_name = name.removesuffix(".png")
        if field_name == name:
            found.beyond.append(f"member {name}")
        else:
            pictures = (reader.image(pick.row, field_name, pick.variant) for reader in (stored, made))
            _numbers(found, f"image {field_name}", *pictures)
    for name in facts.arrays:
        has = stored.has_array(pick.row, name, pick.variant), made.has_array(pick.row, name, pick.variant)
        if has[0] != has[1]:
            found.beyond.append(f"array {name}")
        elif has[0]:
            _numbers(
                found,
                f"array {name}",
                stored.array(pick.row, name, pick.variant),
                made.array(pick.row, name, pick.variant),
            )


def _numbers(found: _Difference, name: str, old: NDArray[Any], new: NDArray[Any]) -> None:
    if old.shape != new.shape or old.dtype.kind not in "iufb":
        found.beyond.append(name)
        return
    difference = np.abs(old.astype(np.float64) - new.astype(np.float64))
    if old.dtype.kind == "f":
        # In units of what is allowed at each place.
        excess = float(np.max(difference / (ABSOLUTE + RELATIVE * np.abs(old.astype(np.float64))), initial=0.0))
        by = float(np.max(difference, initial=0.0))
        if by > 0:
            (found.beyond if not excess <= 1 else found.within).append(f"{name} by {by:.3g}")
    else:
        found.add(name, float(np.max(difference, initial=0.0)), LEVELS)
