"""The weights that made a store's rows: whether they are still where the run that used them found them, and the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fasgen.audit.verification.findings import Finding, Learnt, remark, wrong
from fasgen.errors import StoreError, WeightsError
from fasgen.manifests.ledger import read_ledger
from fasgen.manifests.plan_file import latest
from fasgen.manifests.weights import digest_weights


def check_weights(store: Path, stages: Mapping[str, Learnt]) -> Iterator[Finding]:
    """Every plan's weights by their bytes, as far as a ledger says where they lay.

    Rows have the digests of their weights, and those stay true wherever the files go. Weights that are gone are therefore a
    warning: the rows cannot be made again. So are other weights in the place of those of an older generation. In the place of
    the newest generation's they are an error: the next run would not go on with it.
    """
    places = whereabouts(store)
    newest = {generation.folder for generation in latest(store)}
    for stage in stages.values():
        for plan in stage.plans:
            known = places.get(str(plan.get("plan_hash")), {})
            for role, digest in sorted(plan.get("weights", {}).items()):
                if role in known:
                    yield from _check(plan, role, digest, known[role], stage.folder in newest)


def _check(plan: Mapping[str, Any], role: str, digest: str, path: Path, newest: bool) -> Iterator[Finding]:
    what = f"weights {role!r} of {plan.get('stage')}, plan {str(plan.get('plan_hash'))[:8]}"
    # Nothing else than files and folders is opened: a ledger is input like any other.
    if not (path.is_file() or path.is_dir()):
        yield remark(path, f"{what}, are not there any more: put them back before rows are to be made again")
        return
    try:
        found = digest_weights({role: path}, believe_times=False)[role]
    except WeightsError as error:
        yield remark(path, f"{what}: {error}")
        return
    if found != digest:
        say = wrong if newest else remark
        yield say(
            path, f"{what}, are others by now (SHA-256 {found[:12]}…, not {digest[:12]}…): put back those that made the rows"
        )


def whereabouts(store: Path) -> dict[str, dict[str, Path]]:
    """Where weights lay by role, by plan hash, as the last run that used the plan wrote into its ledger."""
    found: dict[str, dict[str, Path]] = {}
    runs = store / "runs"
    for folder in sorted(runs.iterdir()) if runs.is_dir() else ():
        try:
            events = read_ledger(folder)
        except (StoreError, OSError):
            continue
        for event in events:
            stages = event.get("stages") if event.get("event") == "begin" else None
            for stage in stages.values() if isinstance(stages, dict) else ():
                if isinstance(stage, dict) and isinstance(stage.get("weights"), dict):
                    found[str(stage.get("plan_hash"))] = {
                        str(role): Path(path)
                        for role, path in stage["weights"].items()
                        if isinstance(path, str) and "\0" not in path
                    }
    return found
