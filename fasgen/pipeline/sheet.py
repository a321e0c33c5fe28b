"""The contact sheet of a run: a look at what came out, from committed units of align and defake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from fasgen.errors import StoreError
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.images import encode_png
from fasgen.manifests.report.sheet import SheetRow, contact_sheet
from fasgen.manifests.shard import UnitReader, committed_units
from fasgen.records import Scalar

COLUMNS = ("input", "reconstruction", "residual")


def write_sheet(folders: Mapping[str, Path], out: Path, limit: int = 24, *, gain: float = 2.0) -> int:
    """Write a PNG of the first samples that have a cue, taken evenly from the committed units.

    Args:
        folders: generation in the store by stage; ``align`` and ``defake`` are needed, ``score`` adds scores to the captions.
        out: the picture's path.
        limit: samples at most.
        gain: amplification of the residual; grey is 0.

    Returns:
        number of samples on the sheet; 0 means that no sample has a cue yet, and nothing is written.

    Raises:
        StoreError: a folder is not named, or a unit is damaged.
    """
    for stage in ("align", "defake"):
        if stage not in folders:
            raise StoreError(f"a contact sheet needs the committed units of {stage}: run stage={stage} first")
    units = sorted(set(committed_units(folders["align"])) & set(committed_units(folders["defake"])))
    share = -(-limit // max(1, len(units)))
    rows: list[SheetRow] = []
    for unit in units[:limit]:
        rows += _unit_rows(folders, unit, min(share, limit - len(rows)))
    if not rows:
        return 0
    sheet = contact_sheet(rows, COLUMNS, across=2, gain=gain)
    write_atomic(out, encode_png(sheet, str(out)))
    return len(rows)


def _unit_rows(folders: Mapping[str, Path], unit: int, limit: int) -> Iterator[SheetRow]:
    scores = _scores(folders.get("score"), unit)
    with UnitReader(folders["align"], unit) as align, UnitReader(folders["defake"], unit) as defake:
        found = [row for row in defake.rows if row["status"] == "ok"][: max(0, limit)]
        for row in found:
            number = int(str(row["row"]))
            image, residual = align.image(number, "crop"), defake.array(number, "residual")
            made = np.clip(image.astype(np.int16) - residual, 0, 255).astype(np.uint8)
            pictures = {"input": image, "reconstruction": made, "residual": residual}
            yield SheetRow(pictures, _caption(row, scores.get(number, {})))


def _scores(folder: Path | None, unit: int) -> dict[int, Mapping[str, Scalar]]:
    if folder is None or unit not in committed_units(folder):
        return {}
    with UnitReader(folder, unit) as score:
        return {int(str(row["row"])): row for row in score.rows}


def _caption(row: Mapping[str, Scalar], scores: Mapping[str, Scalar]) -> tuple[str, str]:
    kind = f"{row['label'] or 'unknown'}" + (f" ({row['attack_type']})" if row["attack_type"] else "")
    numbers = [("|residual|", row.get("residual_abs_mean"))]
    numbers += [("identity", scores.get("identity_similarity")), ("BRISQUE", scores.get("brisque"))]
    told = ", ".join(f"{name} {value:.2f}" for name, value in numbers if isinstance(value, float))
    return f"{row['sample_id']}  {kind}", told
