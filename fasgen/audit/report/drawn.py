"""Which generations the report is drawn from, who made them, and what is other than in the ones before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fasgen.audit.compare import settings_changed
from fasgen.audit.stage_rows import StageRows
from fasgen.errors import StoreError
from fasgen.manifests.plan_file import generations, read_current, read_plan

_LONGEST = 60


def drawn(store: Path, stages: Sequence[StageRows], history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One plain document a stage, in order.

    Keys: ``stage``, ``folder``; ``since``: when the generation became the current one (UTC, ISO 8601; empty where that is not
    recorded); ``runs``: id, and units that it made, of every run of the history that made some; ``older``: folders of the
    stage's other generations that are still there, the last one first; ``before``: the one that was current before it, empty
    where there was none; ``changed``: setting, value before, value now, or None where that generation is not there any more.

    Args:
        store: the store.
        stages: the generations' rows.
        history: what ``night.runs`` says.

    Raises:
        StoreError: the record of what is current is damaged.
    """
    current = read_current(store)
    there = [generation.folder.name for generation in generations(store)]
    return [_stage(stage, current.get(stage.stage, []), there, history) for stage in stages]


def _stage(
    stage: StageRows, listed: Sequence[tuple[str, str]], there: Sequence[str], history: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    mine, digest = stage.folder.name, stage.plan.get("plan_hash")
    made = [(run["id"], run["stages"][stage.stage]["units"]) for run in history if _made(run, stage.stage, digest)]
    before = next((folder for folder, _ in listed if folder != mine), "")
    return {
        "stage": stage.stage,
        "folder": mine,
        "since": next((since for folder, since in listed if folder == mine), ""),
        "runs": [list(one) for one in made],
        "older": [folder for folder, _ in listed if folder != mine and folder in there],
        "before": before,
        "changed": _changed(stage, stage.folder.parent / before) if before in there else None,
    }


def _made(run: Mapping[str, Any], stage: str, digest: object) -> bool:
    return stage in run["stages"] and run["plans"].get(stage) == digest


def _changed(stage: StageRows, before: Path) -> list[list[str]] | None:
    try:
        plan = read_plan(before)
    except StoreError:
        # Damage to a generation that is not drawn is for verify to name.
        return None
    changed = [[name, _short(was), _short(now)] for name, (was, now) in settings_changed(plan, stage.plan).items()]
    read = dict(plan.get("upstream") or {})
    for name, digest in stage.upstream.items():
        if read.get(name) != digest:
            changed.append([f"reads {name}", str(read.get(name) or "nothing")[:8], digest[:8]])
    return changed


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
