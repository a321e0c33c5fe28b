"""The contact sheet of a run: a look at what came out, from committed units of align, defake, lgsc and synth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.report.sheet import SheetRow, contact_sheet, in_levels
from fasgen.errors import StoreError
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.images import RGB, encode_png
from fasgen.manifests.shard import UnitReader, committed_units
from fasgen.records import Scalar

SPOOFS = 4
"""Spoofs shown of one face."""

COLUMNS = ("input", "reconstruction", "residual")

FURTHER = {"lgsc": "lgsc", "stdn": "traces"}
"""Cues shown beside the residual where there are any: stage to array field."""


def write_sheet(folders: Mapping[str, Path], out: Path, limit: int = 24, *, gain: float = 2.0) -> int:
    """Write a PNG of the first samples that have a cue, taken evenly from the committed units.

    Args:
        folders: generation in the store by stage; ``align`` and ``defake`` are needed, ``lgsc`` adds its cue, ``score`` adds
            scores to the captions, ``synth`` the spoofs of each face, and ``screen`` their similarity to it.
        out: the picture's path.
        limit: samples at most.
        gain: amplification of the cues; grey is 0.

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
    shown = {name for row in rows for name in row.pictures}
    spoofs = sorted(shown - {*COLUMNS, *FURTHER.values()})
    cues = [name for name in FURTHER.values() if name in shown]
    sheet = contact_sheet(rows, (*COLUMNS, *cues, *spoofs), across=1 if spoofs else 2, gain=gain)
    write_atomic(out, encode_png(sheet, str(out)))
    return len(rows)


def _unit_rows(folders: Mapping[str, Path], unit: int, limit: int) -> Iterator[SheetRow]:
    scores, spoofs = _scores(folders.get("score"), unit), _spoofs(folders, unit)
    with UnitReader(folders["align"], unit) as align, UnitReader(folders["defake"], unit) as defake:
        found = [row for row in defake.rows if row["status"] == "ok"][: max(0, limit)]
        cues = _cues(folders, unit, {int(str(row["row"])) for row in found})
        for row in found:
            number = int(str(row["row"]))
            image, residual = align.image(number, "crop"), defake.array(number, "residual")
            made = np.clip(image.astype(np.int16) - residual, 0, 255).astype(np.uint8)
            pictures: dict[str, NDArray[np.generic]] = {"input": image, "reconstruction": made, "residual": residual}
            pictures |= cues.get(number, {})
            told = spoofs.get(number, [])
            pictures |= {f"spoof {variant}": picture for variant, picture, _ in told}
            words = ("spoofs: " + "; ".join(text for _, _, text in told),) if told else ()
            yield SheetRow(pictures, _caption(row, scores.get(number, {})) + words)


def _cues(folders: Mapping[str, Path], unit: int, wanted: Set[int]) -> dict[int, dict[str, NDArray[np.generic]]]:
    """By row, the further cues of photographs, in levels."""
    found: dict[int, dict[str, NDArray[np.generic]]] = defaultdict(dict)
    for stage, field in FURTHER.items():
        folder = folders.get(stage)
        if folder is None or unit not in committed_units(folder):
            continue
        with UnitReader(folder, unit) as reader:
            for row in reader.rows:
                number = int(str(row["row"]))
                if row["status"] == "ok" and row["variant"] == 0 and number in wanted:
                    found[number][field] = in_levels(reader.array(number, field), field)
    return found


def _spoofs(folders: Mapping[str, Path], unit: int) -> dict[int, list[tuple[int, RGB, str]]]:
    """By row, the first spoofs made of it: variant, picture, and a word on each."""
    folder = folders.get("synth")
    if folder is None or unit not in committed_units(folder):
        return {}
    verdicts: dict[tuple[Scalar, Scalar], Mapping[str, Scalar]] = {}
    screened = folders.get("screen")
    if screened is not None and unit in committed_units(screened):
        with UnitReader(screened, unit) as screen:
            verdicts = {(row["row"], row["variant"]): row for row in screen.rows}
    found: dict[int, list[tuple[int, RGB, str]]] = defaultdict(list)
    with UnitReader(folder, unit) as synth:
        for row in synth.rows:
            number, variant = int(str(row["row"])), int(str(row["variant"]))
            if row["status"] == "ok" and len(found[number]) < SPOOFS:
                verdict = verdicts.get((number, variant), {})
                reason = verdict.get("reason")
                similar = verdict.get("identity_similarity")
                word = f"{str(row['style']).rpartition('|')[2]}" + (f" {similar:.2f}" if isinstance(similar, float) else "")
                found[number].append((variant, synth.image(number, "crop", variant), word + (f" ({reason})" if reason else "")))
    return found


def _scores(folder: Path | None, unit: int) -> dict[int, Mapping[str, Scalar]]:
    if folder is None or unit not in committed_units(folder):
        return {}
    with UnitReader(folder, unit) as score:
        return {int(str(row["row"])): row for row in score.rows}


def _caption(row: Mapping[str, Scalar], scores: Mapping[str, Scalar]) -> tuple[str, ...]:
    kind = f"{row['label'] or 'unknown'}" + (f" ({row['attack_type']})" if row["attack_type"] else "")
    numbers = [("|residual|", row.get("residual_abs_mean"))]
    numbers += [("identity", scores.get("identity_similarity")), ("BRISQUE", scores.get("brisque"))]
    told = ", ".join(f"{name} {value:.2f}" for name, value in numbers if isinstance(value, float))
    return f"{row['sample_id']}  {kind}", told
