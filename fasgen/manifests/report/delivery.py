"""The last step of a delivery: an index of its shards, a data card and Croissant metadata, from manifests and plans alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.parquet import read_table
from fasgen.manifests.products import products
from fasgen.manifests.report.card import data_card
from fasgen.manifests.report.croissant import CROISSANT, encode_croissant
from fasgen.manifests.seen_file import write_networks
from fasgen.manifests.unit import canonical_json, committed_units, manifest_path, unit_facts, unit_summary

FORMAT = "fasgen-index/2"

INDEX, CARD = "index.json", "README.md"

_DIGEST = "digest"
_SEAL = "\n<!-- SHA-256 of all above: {} -->\n"

COUNTED = ("label", "attack_type", "domain", "dataset", "split", "licence", "subject")
"""Columns whose values are counted over the delivered samples; unknown values count under an empty name."""


def finish(folder: Path, plan: Mapping[str, Any]) -> None:
    """Write ``index.json``, ``README.md``, ``croissant.json`` and ``networks.json`` of a delivery.

    The first three depend on the committed units and the plans only: the same store gives the same bytes however often this is
    called. The last has what the weights behind them say of themselves.

    Args:
        folder: the generation of the stage that ships, inside the store.
        plan: what its ``plan.json`` holds.

    Raises:
        StoreError: a manifest is damaged, or a shard is not there.
    """
    index = build_index(folder, plan)
    write_networks(folder, [one for _, one in _chain(folder, plan, set())])
    write_atomic(folder / CARD, encode_card(index))
    write_atomic(folder / CROISSANT, encode_croissant(folder, index))
    # The index is what readers look for, so it comes last.
    write_atomic(folder / INDEX, encode_index(index))


def encode_index(index: Mapping[str, Any]) -> bytes:
    """The bytes of ``index.json``: the index, and a digest over it, since no manifest covers this file."""
    digest = hashlib.sha256(canonical_json(dict(index))).hexdigest()
    return canonical_json({**index, _DIGEST: digest}) + b"\n"


def read_index(data: bytes) -> dict[str, Any] | None:
    """The index in the bytes of a file; None unless they are the very bytes that `encode_index` gave."""
    try:
        index = parse_json(data)
        index.pop(_DIGEST)
        return index if encode_index(index) == data else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def encode_card(index: Mapping[str, Any]) -> bytes:
    """The bytes of the data card, with a digest in its last line, which Markdown does not show."""
    text = data_card(index).encode("utf-8")
    return text + _SEAL.format(hashlib.sha256(text).hexdigest()).encode("ascii")


def is_whole_card(data: bytes) -> bool:
    """Whether a card has the very bytes that were written."""
    length = len(data) - len(_SEAL.format("0" * 64))
    return length > 0 and data[length:] == _SEAL.format(hashlib.sha256(data[:length]).hexdigest()).encode("ascii")


def build_index(folder: Path, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Shards in order with sizes, digests and counts; totals; the stages that made them; what was left out where.

    Raises:
        StoreError: a manifest is damaged, or a shard is not there.
    """
    shards: list[dict[str, Any]] = []
    totals: dict[str, Counter[str]] = {name: Counter() for name in (*COUNTED, "synthetic")}
    by_split: Counter[tuple[str, str]] = Counter()
    cues: Counter[str] = Counter()
    units = committed_units(folder)
    for unit in units:
        rows = _delivered(folder, unit)
        for name, counter in totals.items():
            counter.update(_name(row.get(name)) for row in rows)
        by_split.update((_name(row["split"]), _name(row["label"])) for row in rows)
        cues.update(cue for row in rows for cue in row.get("cues") or ())
        shard = _shard(folder, unit, rows)
        if shard is not None:
            shards.append(shard)
    return {
        "format": FORMAT,
        "stage": plan.get("stage"),
        "plan_hash": plan.get("plan_hash"),
        "units": {"planned": plan.get("units"), "packed": len(units)},
        "total": {
            "shards": len(shards),
            "samples": sum(shard["samples"] for shard in shards),
            "bytes": sum(shard["bytes"] for shard in shards),
            "counts": {name: dict(sorted(totals[name].items())) for name in COUNTED if name != "subject"},
            "labels_by_split": [
                {"split": split, "label": label, "samples": count} for (split, label), count in sorted(by_split.items())
            ],
            "subjects": len(set(totals["subject"]) - {""}),
            "samples_without_subject": totals["subject"][""],
            "synthetic": totals["synthetic"]["true"],
            "cues": dict(sorted(cues.items())),
        },
        "cues": {name: asdict(cue) for name, cue in products(plan).gathers.items() if name in cues},
        "shards": shards,
        "stages": list(_stages(folder, plan, units)),
    }


def _delivered(folder: Path, unit: int) -> list[dict[str, Any]]:
    rows = read_table(manifest_path(folder, unit), columns=["status", "synthetic", "cues", *COUNTED]).to_pylist()
    return [row for row in rows if row["status"] == "ok"]


def _shard(folder: Path, unit: int, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    facts = unit_facts(folder, unit)
    if facts.tar is None:
        return None
    try:
        size = (folder / facts.tar).stat().st_size
    except OSError:
        raise StoreError(
            f"{folder / facts.tar} is not there, though unit {unit} is committed: "
            f"remove {manifest_path(folder, unit)} and run its stage again"
        ) from None
    labels = dict(sorted(Counter(_name(row["label"]) for row in rows).items()))
    return {
        "name": facts.tar,
        "unit": unit,
        "samples": len(rows),
        "bytes": size,
        "sha256": facts.digests[facts.tar],
        "labels": labels,
    }


def _stages(folder: Path, plan: Mapping[str, Any], units: list[int]) -> Iterator[dict[str, Any]]:
    """Every stage above the delivery and itself, upstream first, with what became of the rows of the packed units."""
    for place, record in _chain(folder, plan, set()):
        entry = {name: record.get(name) for name in ("stage", "version", "summary", "plan_hash", "config", "weights", "seed")}
        there = set(committed_units(place))
        counts: dict[str, Any] | None = None
        if there.issuperset(units):
            summaries = [unit_summary(place, unit) for unit in units]
            reasons: Counter[str] = Counter()
            for summary in summaries:
                reasons.update(summary.reasons)
            counts = {name: sum(getattr(each, name) for each in summaries) for name in ("planned", "ok", "filtered", "failed")}
            counts["reasons"] = dict(sorted(reasons.items()))
        yield {**entry, "rows": counts}


def _chain(folder: Path, plan: Mapping[str, Any], seen: set[Path]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    seen.add(folder)
    # In order of names, since a plan that comes from its file has lost any other.
    for stage, digest in sorted(dict(plan.get("upstream") or {}).items()):
        upstream = folder.parent / f"{stage}-{str(digest)[:8]}"
        record = _plan_of(upstream) if upstream not in seen else None
        if record is not None:
            yield from _chain(upstream, record, seen)
    yield folder, plan


def _plan_of(folder: Path) -> Mapping[str, Any] | None:
    """The plan of a generation; None where it was deleted to save space, which takes nothing from the delivery."""
    path = folder / "plan.json"
    try:
        content = parse_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}): run its stage again to have it written anew") from None
    if not isinstance(content, dict):
        raise StoreError(f"{path} is not a plan: run its stage again to have it written anew")
    return content


def _name(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
