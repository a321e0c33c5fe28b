"""How the runs of a store went: predicted and taken time, and what was finished when. Read from the ledgers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fasgen.errors import StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.ledger import read_ledger

PHASES = ("load", "compute", "write")
"""Phases of a unit that overlap with those of its neighbours: the longest bounds the rate."""


def runs(store: Path) -> list[dict[str, Any]]:
    """The runs of a store, oldest first, each a plain document.

    Keys: ``id``, ``outcome`` (``unfinished`` where the last word is missing), ``began`` (UTC, ISO 8601), ``seconds`` from its
    first to its last event, ``predicted`` in seconds or None, ``basis`` of the prediction, ``units``, ``rows``, ``ok``,
    ``filtered``, ``failed``, ``deaths``, ``error``; ``first_unit`` in seconds and ``use``, by name, of the workers' time (None
    where the run did not say); ``events``: seconds after its beginning, stage and rows of each unit;
    ``plans``: plan hash by stage, as the run began; ``stages``: per stage units, rows, workers, seconds from its first unit's
    beginning to its last one's end.
    """
    folder = store / "runs"
    found = []
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            events = read_ledger(place)
        except (StoreError, OSError):
            continue
        document = _run(place, events)
        if document:
            found.append(document)
    return found


def _run(place: Path, events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    timed = [(time, event) for event in events if (time := _time(event)) is not None]
    if not timed:
        return None
    began, last = timed[0][0], timed[-1][0]
    ends = [event for _, event in timed if event.get("event") == "end"]
    units = [(time - began, event) for time, event in timed if event.get("event") == "unit"]
    summary = _summary(place)
    predicted, basis = _predicted(timed, units)
    return {
        "id": place.name,
        "outcome": str(ends[-1].get("outcome", "?")).replace("_", " ") if ends else "unfinished",
        "error": str(ends[-1].get("error") or "") if ends else "",
        "began": str(timed[0][1].get("time", "")),
        "seconds": last - began,
        "predicted": predicted,
        "basis": basis,
        "units": len(units),
        **{name: sum(_int(event.get(name)) for _, event in units) for name in ("planned", "ok", "filtered", "failed")},
        "deaths": sum(event.get("event") == "died" for _, event in timed),
        "first_unit": _known(ends, "first_unit"),
        "use": _use(ends),
        "peak_driver": _int(summary.get("peak_driver")),
        "peak_worker": _int(summary.get("peak_worker")),
        "events": [[round(at, 3), str(event.get("stage", "?")), _int(event.get("planned"))] for at, event in units],
        "plans": _plans(timed),
        "stages": _stages(units),
    }


def _plans(timed: Sequence[tuple[float, Mapping[str, Any]]]) -> dict[str, str]:
    """Later events of the kind win: a run that grows says it again."""
    found: dict[str, str] = {}
    for _, event in timed:
        stages = event.get("stages") if event.get("event") == "begin" else None
        for name, told in stages.items() if isinstance(stages, dict) else ():
            if isinstance(told, dict):
                found[str(name)] = str(told.get("plan_hash", ""))
    return found


_USE = ("wall", "start", "build", "compile", "compute", "wait", "utilisation")


def _use(ends: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Where the time of the GPU workers went, or of the CPU workers where no GPU took part, as the run told it at its end."""
    found = ends[-1].get("use") if ends else None
    if not isinstance(found, dict):
        return None
    return {
        "device": str(found.get("device", "?")),
        "workers": _int(found.get("workers")),
        **{name: _float(found.get(name)) for name in _USE},
    }


def _known(ends: Sequence[Mapping[str, Any]], name: str) -> float | None:
    found = ends[-1].get(name) if ends else None
    return _float(found) if isinstance(found, int | float) else None


def _stages(units: Sequence[tuple[float, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    out: dict[str, dict[str, Any]] = {}
    for at, event in units:
        stage = out.setdefault(
            str(event.get("stage", "?")), {"units": 0, "rows": 0, "workers": set(), "from": at, "to": at, "busy": 0.0}
        )
        wall = _float(_seconds(event).get("wall"))
        stage["units"] += 1
        stage["rows"] += _int(event.get("planned"))
        stage["workers"].add(event.get("worker"))
        stage["from"] = max(0.0, min(stage["from"], at - wall))
        stage["to"] = max(stage["to"], at)
        stage["busy"] += wall
    for stage in out.values():
        stage["workers"] = len(stage["workers"])
        stage["seconds"] = stage["to"] - stage["from"]
    return out


def _predicted(
    timed: Sequence[tuple[float, Mapping[str, Any]]], units: Sequence[tuple[float, Mapping[str, Any]]]
) -> tuple[float | None, str]:
    """What the run itself foretold; else what the first unit of each stage lets one expect of the others."""
    for _, event in timed:
        seconds = event.get("seconds")
        if event.get("event") == "predicted" and isinstance(seconds, int | float) and seconds >= 0:
            return float(seconds), "foretold before it began, from units of earlier runs"
    total = 0.0
    for name, stage in _stages(units).items():
        first = next(event for _, event in units if str(event.get("stage", "?")) == name)
        seconds = _seconds(first)
        rate = max((_float(seconds.get(phase)) for phase in PHASES), default=0.0) / max(1, _int(first.get("planned")))
        total += _float(seconds.get("build")) + _float(seconds.get("compile")) + rate * stage["rows"] / max(1, stage["workers"])
    return (total, "reckoned from the first unit of each stage") if total else (None, "")


def _summary(place: Path) -> dict[str, Any]:
    try:
        found = parse_json((place / "summary.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(event: Mapping[str, Any]) -> Mapping[str, Any]:
    found = event.get("seconds")
    return found if isinstance(found, dict) else {}


def _time(event: Mapping[str, Any]) -> float | None:
    try:
        return datetime.fromisoformat(str(event.get("time"))).timestamp()
    except (ValueError, OverflowError):
        return None


def _int(value: object) -> int:
    return value if isinstance(value, int) else 0


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e12 else 0.0
