"""Generations against each other: what was made of what, by whom it is, and in which split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fasgen.audit.verification.claims import People
from fasgen.audit.verification.findings import Finding, Learnt, remark, wrong
from fasgen.errors import StoreError
from fasgen.manifests.roster_file import read_roster
from fasgen.manifests.unit import manifest_path


def check_chain(stage: Learnt, stages: Mapping[str, Learnt]) -> Iterator[Finding]:
    """A stage's upstreams: all there, and the ok rows of one of them, the primary, exactly what this stage planned."""
    whole: list[Learnt] = []
    for name, digest in stage.plan.get("upstream", {}).items():
        if name == "sources":
            continue
        if digest in stages and stages[digest].plan.get("stage") == name:
            whole.append(stages[digest])
        elif stage.planned:
            # Shards that were shipped alone are whole without what they were made from.
            say = remark if stage.plan.get("shipped") else wrong
            yield say(stage.folder / "plan.json", f"was made from {name}-{digest[:8]}, which is not in the store")
    for unit in sorted(stage.planned) if whole else ():
        path = manifest_path(stage.folder, unit)
        reads = stage.plan_of(unit).get("upstream", {})
        above = [each for each in whole if each.plan.get("stage") in reads]
        for each in above:
            if unit in stage.added and each.plan_of(unit).get("plan_hash") != reads[each.plan["stage"]]:
                yield wrong(path, f"was made from another unit {unit} of {each.folder.name} than lies there")
        absent = [each for each in above if unit not in each.planned]
        for each in absent:
            yield wrong(path, f"was made from unit {unit} of {each.folder.name}, which is not committed or cannot be read")
        if absent or unit in stage.stale:
            continue
        yield from _planned(stage, unit, above)


def _planned(stage: Learnt, unit: int, above: list[Learnt]) -> Iterator[Finding]:
    """The rows of a unit are the ok rows of its primaries, or the entries of its roster."""
    path, planned = manifest_path(stage.folder, unit), stage.planned[unit]
    if stage.plan.get("roster"):
        try:
            entries = {(entry["row"], entry["variant"]) for entry in read_roster(stage.folder, unit)}
        except StoreError as error:
            yield wrong(path, str(error))
            return
        if planned != entries:
            yield wrong(path, f"planned {len(planned)} rows, which are not the {len(entries)} entries of the roster")
        return
    primaries = [each for each in above if each.plan.get("stage") in stage.plan_of(unit).get("primaries", ())]
    if primaries:
        fits = planned == set().union(*(each.ok[unit] for each in primaries))
    else:
        fits = any(planned == each.ok[unit] for each in above)
    known: set[tuple[int, int]] = set().union(*(each.planned[unit] for each in above))
    if not fits or not planned <= known:
        has = ", ".join(f"{each.folder.name} {len(each.ok[unit])}" for each in primaries or above)
        yield wrong(path, f"planned {len(planned)} rows, which are not the ok rows of its upstream ({has})")


def check_descent(stages: Mapping[str, Learnt]) -> Iterator[Finding]:
    """Parents and splits, of everything below each stage that reads sources."""
    roots = [stage for stage in stages.values() if "sources" in stage.plan.get("upstream", {}) and stage.planned]
    for root in roots:
        try:
            people = People(root.folder, sorted(root.planned))
        except StoreError as error:
            yield wrong(root.folder, str(error))
            continue
        for subject in people.torn():
            yield remark(root.folder, f"the sources have subject {subject} in more than one split; give it to one of them")
        for stage in stages.values():
            if stage is root or not _below(stage, root, stages):
                continue
            for unit in sorted(stage.planned.keys() - stage.stale):
                path = manifest_path(stage.folder, unit)
                try:
                    yield from (wrong(path, claim) for claim in people.claims(path))
                except StoreError as error:
                    yield wrong(path, str(error))


def _below(stage: Learnt, root: Learnt, stages: Mapping[str, Learnt]) -> bool:
    above = [stages[digest] for digest in stage.plan.get("upstream", {}).values() if digest in stages]
    return any(each is root or _below(each, root, stages) for each in above)
