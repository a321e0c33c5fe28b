"""The contact sheet of a run: photographs with their cues, and the spoofs that were made of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from fasgen.audit.report.pictures import Gallery, Place
from fasgen.audit.report.sample_sheet import samples_of_unit, usual_figures
from fasgen.audit.report.sheet import GAIN, SheetRow, columns_of, contact_sheet
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.images import encode_png
from fasgen.manifests.plan_file import read_plan
from fasgen.manifests.products import Products, products
from fasgen.manifests.unit import committed_units
from fasgen.records import PHOTOGRAPHED

SPOOFS = 4
"""Spoofs shown of one face."""

Rows = Sequence[tuple[str, Mapping[str, Any]]]
"""A sample's rows with the stages that they are of, in order."""


def write_sheet(folders: Mapping[str, Path], out: Path, limit: int = 24, *, gain: float = GAIN) -> int:
    """Write a PNG of the first photographs that have a cue or spoofs, taken evenly from the committed units.

    Args:
        folders: generation in the store by stage, in the order in which samples meet them; what each has is in its plan.
        out: the picture's path.
        limit: photographs at most.
        gain: amplification of the cues.

    Returns:
        number of photographs on the sheet; 0 means that there is none yet to show, and nothing is written.

    Raises:
        StoreError: a plan or unit is damaged.
    """
    made = {stage: products(read_plan(folder)) for stage, folder in folders.items() if committed_units(folder)}
    shown = {stage: folders[stage] for stage in made}
    telling = [stage for stage, one in made.items() if (one.cues and PHOTOGRAPHED in one.lanes) or (one.draws and one.picture)]
    units = sorted({unit for stage in telling for unit in committed_units(shown[stage])})
    share = -(-limit // max(1, len(units)))
    rows: list[SheetRow] = []
    with Gallery(shown, gain) as gallery:
        for unit in units[:limit]:
            rows += _unit_rows(shown, made, gallery, unit, min(share, limit - len(rows)))
    if not rows:
        return 0
    columns = columns_of(rows)
    spoofs = sorted(name for name in columns if name.startswith(_SPOOF))
    columns = [name for name in columns if name not in spoofs] + spoofs
    sheet = contact_sheet(rows, columns, across=1 if spoofs else 2)
    write_atomic(out, encode_png(sheet, str(out)))
    return len(rows)


_SPOOF = "spoof "


def _unit_rows(
    folders: Mapping[str, Path], made: Mapping[str, Products], gallery: Gallery, unit: int, limit: int
) -> Iterator[SheetRow]:
    figures = usual_figures(made)
    found = sorted(samples_of_unit(folders, unit, figures).items())
    left = limit
    for sample_id, group in groupby(found, lambda one: one[0][0]):
        variants = {variant: rows for (_, variant), rows in group}
        own = variants.pop(0, [])
        spoofs = [(variant, rows) for variant, rows in variants.items() if any(made[stage].draws for stage, _ in _ok(rows))]
        cued = any(made[stage].cues for stage, _ in _ok(own))
        if left <= 0 or not own or not (cued or spoofs):
            continue
        left -= 1
        pictures = dict(gallery.all(_places(unit, sample_id, 0, own)))
        drawn = []
        for variant, rows in spoofs[:SPOOFS]:
            picture = gallery.first(_places(unit, sample_id, variant, rows))
            if picture is not None:
                pictures[f"{_SPOOF}{variant}"] = picture
                drawn.append(rows)
        yield SheetRow(pictures, (*_caption(sample_id, own, figures), *([_words(drawn, figures)] if drawn else [])))


def _ok(rows: Rows) -> list[tuple[str, Mapping[str, Any]]]:
    return [(stage, row) for stage, row in rows if row["status"] == "ok"]


def _places(unit: int, sample_id: str, variant: int, rows: Rows) -> list[Place]:
    return [Place(stage, unit, sample_id, variant, row["array_index"]) for stage, row in rows if row["array_index"] is not None]


def _told(rows: Rows, figures: Sequence[str]) -> Iterator[tuple[str, float]]:
    for name in figures:
        value = next((row[name] for _, row in rows if isinstance(row.get(name), float)), None)
        if value is not None:
            yield name, value


def _words(spoofs: Sequence[Rows], figures: Sequence[str]) -> str:
    """What each spoof shows, the first figure that all of them have, and why it was turned away, if it was."""
    told = [dict(_told(rows, figures)) for rows in spoofs]
    shared = next((name for name in figures if all(name in one for one in told)), "")
    words = []
    for rows, one in zip(spoofs, told, strict=True):
        attack = next((str(row["attack_type"]) for _, row in rows if row["attack_type"]), "?")
        reason = next((f" ({row['reason']})" for _, row in rows if row["reason"]), "")
        words.append(attack + (f" {one[shared]:.3g}" if shared else "") + reason)
    return f"spoofs{f', {shared}' if shared else ''}: " + "; ".join(words)


def _caption(sample_id: str, rows: Rows, figures: Sequence[str]) -> tuple[str, str]:
    first = rows[0][1]
    kind = f"{first['label'] or 'unknown'}" + (f" ({first['attack_type']})" if first["attack_type"] else "")
    return f"{sample_id}  {kind}", ", ".join(f"{name} {value:.3g}" for name, value in _told(rows, figures))
