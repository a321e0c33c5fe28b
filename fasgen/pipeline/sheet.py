"""The contact sheet of a run: a look at what came out, from committed units of align and defake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fasgen.errors import StoreError
from fasgen.manifests.parquet import read_table
from fasgen.manifests.report.sample_sheet import Chosen, write_samples
from fasgen.manifests.unit import committed_units, manifest_path

FIGURES = ("residual_abs_mean", "identity_similarity", "brisque")


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
    chosen: list[Chosen] = []
    for unit in units[:limit]:
        chosen += _first(folders["defake"], unit, min(share, limit - len(chosen)))
    shown = {stage: folders[stage] for stage in ("align", "defake", "score") if stage in folders}
    return write_samples(shown, chosen, out, figures=FIGURES, gain=gain)


def _first(folder: Path, unit: int, count: int) -> list[Chosen]:
    rows = read_table(manifest_path(folder, unit), ["sample_id", "variant", "status"]).to_pylist()
    return [(unit, row["sample_id"], row["variant"]) for row in rows if row["status"] == "ok"][: max(0, count)]
