"""A small store with all that reports and questions of lineage meet: two live people, spoofs made of them, rejects."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from fasgen.manifests.ledger import Ledger
from fasgen.manifests.parquet import encode_table, read_table
from fasgen.manifests.plan_file import write_plan
from fasgen.manifests.shard import Row, UnitWriter
from fasgen.manifests.sources_file import write_sources
from fasgen.manifests.unit import manifest_path
from fasgen.records import Column, Reason
from tests.manifests.units import plan_hash

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&quot;\"'`${alert(3)}"

HOSTILE_NAME = "<img src=x onerror=alert(5)><svg onload=alert(6)>\"'`&lt;b&gt;"
"""What a folder may be called."""

SCORES = (
    Column("brisque", "float64", "BRISQUE of the crop", "points, lower is better", "worse"),
    Column("similarity", "float32", "cosine, higher is closer", "[-1, 1]", "better"),
)
RESIDUAL = {"name": "residual", "one": 127.5, "drawn": "signed", "leaves": "reconstruction", "doc": "residual", "card": ""}
UNITS, ROWS, VARIANTS = 3, 6, 2


def sample(unit: int, row: int) -> str:
    return f"{unit * 100 + row + 0xABC0:016x}"


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (24, 24, 3), np.uint8)


def provenance(unit: int, row: int, variant: int, hostile: bool) -> dict[str, str | None]:
    strange = HOSTILE if hostile and row == 0 else f"folder/{unit}-{row}.png"
    base = {"dataset": "toy", "path": strange, "subject": f"toy/{row % 2}", "licence": "free", "device": None}
    if hostile and row == 0:
        base |= dict.fromkeys(("dataset", "subject", "licence", "device", "split"), HOSTILE)
    if variant == 0:
        label = HOSTILE if hostile and row == 0 and unit == 1 else "live"
        return base | {"label": label, "domain": f"toy|cam|{label}", "attack_type": None, "style_subject": None}
    bad = hostile and variant == 2
    attack = HOSTILE if bad else ("print", "replay")[variant - 1]
    base |= {"label": HOSTILE if bad and unit == 1 else "spoof", "style_subject": HOSTILE if bad else "toy/9"}
    return base | {"attack_type": attack, "domain": f"toy|cam|{attack}"}


def make_store(store: Path, *, hostile: bool = False, shift: float = 0.0, mixed: bool = False) -> Path:
    """Three units of six samples each at align and score, two spoofs of each at synth and synth_score; a run's ledger.

    Args:
        store: where.
        hostile: texts are such as would run where a page took them for code.
        shift: added to scores.
        mixed: of each unit row 2 is a clip that stands for a person, row 3 has no label and no person, row 4 is a photographed
            attack, a spoof of row 2 comes to nothing, the second of row 1 is turned away when it is scored, and spoofs have
            row 3 as their guide, but for those of row 0, whose guide is not there.
    """
    hashes = {name: plan_hash(name) for name in ("align", "score", "synth", "synth_score")}
    folders = {name: store / f"{name}-{digest[:8]}" for name, digest in hashes.items()}
    # Names of the same beginning have the same beginning in hex.
    folders["synth_score"], hashes["synth_score"] = store / "synth_score-5e5e5e5e", "5e" * 32
    listing = []
    for unit in range(UNITS):
        _unit(folders, hashes, unit, hostile, shift, mixed)
        for row in range(ROWS):
            path = str(provenance(unit, row, 0, hostile)["path"])
            listing.append({"sample_id": sample(unit, row), "dataset": "toy", "path": path, "size": 100, "kind": "image"})
    write_sources(store, "toy", listing)
    above = {"align": "sources", "score": "align", "synth": "align", "synth_score": "synth"}
    for name, folder in folders.items():
        upstream = {above[name]: hashes.get(above[name], "0" * 64)}
        plan = {"stage": name, "plan_hash": hashes[name], "upstream": upstream, "units": UNITS, "rows": UNITS * ROWS}
        plan |= {"primaries": [name for name in upstream if name != "sources"], "roster": name == "synth"}
        plan |= {"lanes": ["synth" if name.startswith("synth") else "photographed"]}
        plan |= {"picture": "crop"} if name in ("align", "synth") else {"scores": [[one.name, one.higher] for one in SCORES]}
        plan |= {"cues": [RESIDUAL], "arrays": ["residual"]} if name == "score" else {}
        weights = {HOSTILE if hostile else "net": "ab" * 32}
        settings = {HOSTILE if hostile else "limit": 5}
        summary = HOSTILE if hostile else name
        write_plan(folder, plan | {"version": 1, "summary": summary, "config": settings, "weights": weights})
    if hostile:
        _give_reason(folders["score"], HOSTILE)
    _run(store, "over_budget" + HOSTILE if hostile else "finished", HOSTILE if hostile else "")
    return store


def _give_reason(folder: Path, reason: str) -> None:
    """Put a reason that is none of the closed list into a manifest, as somebody would who alters it on purpose."""
    path = manifest_path(folder, 1)
    table = read_table(path)
    rows = table.to_pylist()
    for row in rows:
        row["reason"] = reason if row["reason"] else None
    path.write_bytes(encode_table(pa.Table.from_pylist(rows, schema=table.schema)))


def mixture(unit: int, row: int, variant: int) -> dict[str, object]:
    """What is other of a row where samples are mixed."""
    found: dict[str, object] = {"subject_is_pseudo": row == 2}
    if row == 3:
        found |= {"label": "unknown", "subject": None, "domain": None}
    if row == 4:
        found |= {"label": "spoof", "attack_type": "mask"}
    return found if variant == 0 else found | {"style_subject": None if row == 0 else "toy/3"}


def _unit(folders: dict[str, Path], hashes: dict[str, str], unit: int, hostile: bool, shift: float, mixed: bool) -> None:
    def writer(name: str, columns: tuple[Column, ...], arrays: dict[str, str]) -> UnitWriter:
        return UnitWriter(folders[name], unit, columns=columns, arrays=arrays, plan_hash=hashes[name], weights="w" * 64)

    with writer("align", (), {}) as align, writer("score", SCORES, {"residual": "int16"}) as score:
        for row in range(ROWS):
            given = provenance(unit, row, 0, hostile) | (mixture(unit, row, 0) if mixed else {})
            one = Row(sample(unit, row), row, row + 1, provenance=given)
            if row == 5:
                align.reject(one, Reason.NO_FACE, HOSTILE if hostile else "no face above 0.9")
                continue
            image = picture(unit * 10 + row)
            align.ok(one, images={"crop": image})
            if row == 4:
                score.reject(one, Reason.QUALITY, "brisque 80 is above 60")
                continue
            residual = np.full((24, 24, 3), row - 2, np.int16)
            values = {"brisque": 10.0 * row + unit + shift, "similarity": 0.9 - 0.1 * row}
            score.ok(one, arrays={"residual": residual}, values=values)
        align.commit(ROWS)
        score.commit(ROWS - 1)
    with writer("synth", (), {}) as synth, writer("synth_score", SCORES, {}) as scored:
        for row in range(2):
            for variant in range(1, VARIANTS + 1):
                parents = (sample(unit, row), "f" * 16 if row == 0 else sample(unit, 3))[: 2 if mixed else 1]
                given = provenance(unit, row, variant, hostile) | (mixture(unit, row, variant) if mixed else {})
                one = Row(sample(unit, row), row, 50 + variant, variant, parents, given)
                synth.ok(one, images={"crop": picture(900 + unit * 10 + row * 2 + variant)})
                if mixed and (row, variant) == (1, 2):
                    scored.reject(one, Reason.IDENTITY_LOST, "0.1 is below 0.3")
                    continue
                scored.ok(one, values={"brisque": 40.0 + variant + shift, "similarity": 0.5})
        if mixed:
            given = provenance(unit, 2, 1, hostile) | mixture(unit, 2, 1)
            one = Row(sample(unit, 2), 2, 51, 1, (sample(unit, 2),), given)
            synth.reject(one, Reason.UNKNOWN_STYLE, "no weights know it")
        synth.commit(2 * VARIANTS + mixed)
        scored.commit(2 * VARIANTS)


def _run(store: Path, outcome: str, error: str) -> None:
    events = [("begin", {}, 0), ("predicted", {"seconds": 30.0}, 0)]
    for number, name in enumerate(("align", "score", "synth", "synth_score")):
        for unit in range(UNITS):
            fields = {"stage": name, "worker": 0, "unit": unit, "planned": ROWS, "ok": ROWS - 1, "filtered": 1, "failed": 0}
            events.append(("unit", fields | {"seconds": {"compute": 1.0, "wall": 1.5}}, 2 + number * 6 + unit * 2))
    events.append(("end", {"outcome": outcome, "error": error}, 26))
    with Ledger(store, "20260101-000000") as ledger:
        ledger.summary({"peak_driver": 1, "peak_worker": 2})
    lines = [
        json.dumps({"time": f"2026-01-01T00:00:{at:02}.000+00:00", "event": kind, **fields}) for kind, fields, at in events
    ]
    (store / "runs" / "20260101-000000" / "ledger.jsonl").write_text("\n".join([*lines, '{"cut off']), "utf-8")
