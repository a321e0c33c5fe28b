"""A contact sheet of any samples: all their pictures, whichever stages made them, with a caption."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fasgen.audit.query import show
from fasgen.audit.report.pictures import Gallery, Place
from fasgen.audit.report.sheet import GAIN, SheetRow, columns_of, contact_sheet
from fasgen.audit.stage_rows import in_order, schema_of
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.images import encode_png
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import latest, read_plan
from fasgen.manifests.products import Products, products
from fasgen.manifests.unit import manifest_path, member_key

Chosen = tuple[int, str, int]
"""A sample: its unit, its id and its variant. A sample lies in the unit of the same number at every stage."""

FIGURES = 4
"""Scores in a caption where none are asked for."""


def write_samples(
    folders: Mapping[str, Path],
    chosen: Sequence[Chosen],
    out: Path,
    *,
    figures: Sequence[str] = (),
    across: int = 2,
    cell: int = 160,
    gain: float = GAIN,
) -> int:
    """Write a PNG with one line of pictures for each sample that has any.

    Args:
        folders: generation by stage, in the order in which samples meet the stages.
        chosen: the samples, in order.
        out: the picture's path.
        figures: columns that the caption tells; empty: a few scores.
        across: samples side by side.
        cell: side of a picture in px.
        gain: amplification of cues.

    Returns:
        number of samples on the sheet; 0 means that nothing was written.

    Raises:
        StoreError: a unit is damaged.
    """
    usual = usual_figures({stage: products(read_plan(folder)) for stage, folder in folders.items()})
    with Gallery(folders, gain) as gallery:
        rows = [row for row in _rows(folders, gallery, chosen, list(figures) or usual) if row.pictures]
    if not rows:
        return 0
    write_atomic(out, encode_png(contact_sheet(rows, columns_of(rows), across=across, cell=cell), str(out)))
    return len(rows)


def write_filtered(
    store: Path, filter_sql: str | None, out: Path, *, limit: int = 48, figures: Sequence[str] = (), **look: Any
) -> int:
    """Write a sheet of the samples of which any row passes a filter.

    Args:
        store: the store.
        filter_sql: as ``query.show`` takes it.
        out: the picture's path.
        limit: samples at most.
        figures: columns that the caption tells; empty: a few scores.
        look: as ``write_samples`` takes it.

    Returns:
        number of samples on the sheet; 0 means that no sample with a picture passes.

    Raises:
        FilterError: the filter is not one, or a figure is no column.
        StoreError: nothing is committed, or a manifest or unit is damaged.
    """
    chosen: dict[Chosen, None] = {}
    # A sample has a row at every stage, so several rows may pass for one; more are asked for until there are enough samples.
    rows = limit
    while True:
        found = show(store, filter_sql, ["unit", "sample_id", "variant", *figures], rows)
        names = (found[name].to_pylist() for name in ("unit", "sample_id", "variant"))
        chosen = dict.fromkeys(zip(*names, strict=True))
        if len(chosen) >= limit or found.num_rows < rows:
            break
        rows *= 4
    folders = {generation.stage: generation.folder for generation, _ in in_order(latest(store))}
    return write_samples(folders, list(chosen)[:limit], out, figures=figures, **look)


def _rows(
    folders: Mapping[str, Path], gallery: Gallery, chosen: Sequence[Chosen], figures: Sequence[str]
) -> Iterator[SheetRow]:
    units: dict[int, dict[tuple[str, int], list[tuple[str, dict[str, Any]]]]] = {}
    for unit, sample_id, variant in chosen:
        if unit not in units:
            units[unit] = samples_of_unit(folders, unit, figures)
        found = units[unit].get((sample_id, variant), [])
        places = [
            Place(stage, unit, sample_id, variant, row["array_index"]) for stage, row in found if row["array_index"] is not None
        ]
        yield SheetRow(gallery.all(places), _caption(member_key(sample_id, variant), [row for _, row in found], figures))


def samples_of_unit(
    folders: Mapping[str, Path], unit: int, figures: Sequence[str]
) -> dict[tuple[str, int], list[tuple[str, dict[str, Any]]]]:
    """By sample its rows of one unit, stages in order."""
    out: dict[tuple[str, int], list[tuple[str, dict[str, Any]]]] = {}
    for stage, folder in folders.items():
        schema = schema_of(folder)
        if schema is None or not manifest_path(folder, unit).exists():
            continue
        wanted = ["sample_id", "variant", "array_index", "label", "attack_type", "status", "reason", *figures]
        for row in read_table(manifest_path(folder, unit), [name for name in wanted if name in schema.names]).to_pylist():
            out.setdefault((row["sample_id"], row["variant"]), []).append((stage, row))
    return out


def _caption(key: str, rows: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> tuple[str, str]:
    label = next((row["label"] for row in rows if row["label"]), "unknown")
    attack = next((row["attack_type"] for row in rows if row["attack_type"]), "")
    reason = next((row["reason"] for row in rows if row["reason"]), "")
    told = []
    for name in figures:
        value = next((row[name] for row in rows if row.get(name) is not None), None)
        if value is not None:
            told.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
    kind = f"{label} ({attack})" if attack else label
    return f"{key}  {kind}" + (f"  {reason}" if reason else ""), ", ".join(told)


def usual_figures(made: Mapping[str, Products]) -> list[str]:
    """Scores that a caption tells: the first one of each stage that tells live from spoof, then those of quality, late stages
    first.

    Args:
        made: products by stage, in order.
    """
    sides = [next((name for name, higher in one.scores.items() if higher in ("live", "spoof")), None) for one in made.values()]
    late_first = [one.scores for one in reversed(list(made.values()))]
    quality = [name for scores in late_first for name, higher in scores.items() if higher in ("better", "worse")]
    return list(dict.fromkeys([*(name for name in sides if name), *quality]))[:FIGURES]
