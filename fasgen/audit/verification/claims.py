"""What rows say of where they come from, against the derivation of seeds, the weights of the plan, parents and splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import IDENTITY, identity_hash, weights_digest
from fasgen.manifests.unit import UnitFacts, manifest_path
from fasgen.records import Status, may_lend
from fasgen.seeds import sample_seed

_PEOPLE = ("sample_id", "variant", "status", "subject", "split")
_DESCENT = ("sample_id", "variant", "status", "parent_ids", "split", "style_subject")


def plan_claims(plan: Mapping[str, Any]) -> Iterator[str]:
    """A plan against its own hash."""
    if not all(name in plan for name in IDENTITY):
        return
    try:
        found = identity_hash(plan)
    except (TypeError, ValueError) as error:
        yield f"has settings that no run can have written ({error})"
        return
    if found != plan.get("plan_hash"):
        yield f"says that its plan hash is {str(plan.get('plan_hash'))[:8]}, but what it holds has the hash {found[:8]}"


def unit_claims(plan: Mapping[str, Any], facts: UnitFacts, rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Weights and seeds of a unit against its plan."""
    if "weights" in plan and facts.weights != weights_digest(plan["weights"]):
        yield "was made by other weights than its plan names"
    batch = plan.get("batch")
    if facts.micro_batch is not None and isinstance(batch, int) and (facts.micro_batch >= batch or batch % facts.micro_batch):
        yield f"was made {facts.micro_batch} samples a call, which is no smaller batch of the plan's {batch}"
    if "seed" not in plan:
        return
    for row in rows:
        seed = sample_seed(int(plan["seed"]), str(plan["stage"]), str(row["sample_id"]), int(row["variant"]))
        if row["seed"] != seed:
            yield f"sample {row['sample_id']}, variant {row['variant']}: its seed is {row['seed']}, derived it is {seed}"


class People:
    """The photographs of one generation: who is in which split.

    Args:
        folder: the generation of a stage that reads sources.
        units: its units.
    """

    def __init__(self, folder: Path, units: Sequence[int]) -> None:
        self._split: dict[str, str | None] = {}
        self._ok: set[str] = set()
        self._splits: defaultdict[str, set[str | None]] = defaultdict(set)
        for unit in units:
            for row in read_table(manifest_path(folder, unit), _PEOPLE).to_pylist():
                if row["variant"]:
                    continue
                self._split[row["sample_id"]] = row["split"]
                if row["status"] == Status.OK.value:
                    self._ok.add(row["sample_id"])
                if row["subject"] is not None:
                    self._splits[row["subject"]].add(row["split"])

    def torn(self) -> list[str]:
        """Subjects whose photographs lie in more than one split, sorted."""
        return sorted(subject for subject, splits in self._splits.items() if len(splits) > 1)

    def claims(self, path: Path) -> Iterator[str]:
        """Every row of a manifest below: its parents exist, and nobody has crossed from one split into another."""
        for row in read_table(path, _DESCENT).to_pylist():
            ids = row["parent_ids"] or [row["sample_id"]]
            where = f"sample {row['sample_id']}, variant {row['variant']}"
            if row["variant"] and row["sample_id"] != ids[0]:
                yield f"{where}: its first parent is {ids[0]}"
            for number, parent in enumerate(ids):
                yield from self._parent(where, row, parent, lends=number > 0)
            guide = row["style_subject"]
            if guide in self._splits and not any(may_lend(split, row["split"]) for split in self._splits[guide]):
                yield f"{where}: is of split {row['split']}, and {guide}, whose style it has, is not"

    def _parent(self, where: str, row: Mapping[str, Any], parent: str, *, lends: bool) -> Iterator[str]:
        if parent not in self._split:
            yield f"{where}: its parent {parent} is not in the store"
        elif row["status"] == Status.OK.value and parent not in self._ok:
            yield f"{where}: its parent {parent} has no product"
        elif not (may_lend(self._split[parent], row["split"]) if lends else row["split"] == self._split[parent]):
            yield f"{where}: is of split {row['split']}, its parent {parent} of {self._split[parent]}"
