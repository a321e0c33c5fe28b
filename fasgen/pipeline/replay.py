"""Making single rows again from what their stage read."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from fasgen.errors import StoreError
from fasgen.manifests.unit import UnitFacts, unit_facts
from fasgen.manifests.unit_reader import UnitReader
from fasgen.pipeline.calling import call, ladder, release_memory
from fasgen.pipeline.comparison import Pick, Replayed, compare
from fasgen.pipeline.engine import UnitTask
from fasgen.pipeline.events import Key
from fasgen.pipeline.graph import resolve
from fasgen.pipeline.loading import open_input
from fasgen.pipeline.plan import Plan
from fasgen.pipeline.schedule import Assign
from fasgen.pipeline.stage_plan import StagePlan
from fasgen.pipeline.writing import open_output, write_row
from fasgen.records import Reason, Scalar, Status
from fasgen.stages.stage import Reject, Sample, Stage, StageConfig, StageSpec

_OF_MOMENT = frozenset({Reason.WORKER_DIED.value, Reason.OUT_OF_MEMORY.value, Reason.TIME_LIMIT.value})
"""Reasons that say something of the machine on that night; such rows are not made again."""


def replayable(plans: Sequence[Plan]) -> list[StagePlan]:
    """The stages of which the store has units under these plans.

    Raises:
        StoreError: there is none.
    """
    found = [
        stage
        for plan in plans
        for stage in plan.stages.values()
        if any(summary.planned for summary in stage.committed.values())
    ]
    if not found:
        raise StoreError(
            f"{plans[0].store}: holds nothing that was made under this configuration; give the settings that made it, "
            "as in `fasgen run`"
        )
    return found


def choose(plans: Sequence[Plan], count: int, seed: int) -> list[Pick]:
    """``count`` different rows, every committed row of every stage as likely as any other; fewer where there are too few.

    Args:
        plans: the plan of the generations, and those of units that were added to them.
        count: how many.
        seed: which.

    Raises:
        StoreError: nothing was made under these plans.
    """
    units = [(stage, unit, stage.committed[unit].planned) for stage in replayable(plans) for unit in sorted(stage.committed)]
    ends = list(accumulate(planned for _, _, planned in units))
    picks: list[Pick] = []
    drawn = random.Random(seed).sample(range(ends[-1]), ends[-1] if ends[-1] < 4 * count else 4 * count)
    for number in drawn:
        place = bisect_right(ends, number)
        stage, unit, planned = units[place]
        with UnitReader(stage.folder, unit, stage.spec.tar) as reader:
            row = reader.rows[number - (ends[place] - planned)]
        if row["reason"] not in _OF_MOMENT:
            picks.append(Pick(stage.name, unit, _int(row["row"]), _int(row["variant"])))
        if len(picks) == count:
            break
    return picks


def of_sample(plans: Sequence[Plan], sample_id: str, variant: int) -> list[Pick]:
    """The rows of one sample, in all stages under these plans, in order; where it was tried again, those too.

    Raises:
        StoreError: no stage has such a row.
    """
    picks: list[Pick] = []
    committed = replayable(plans)
    for plan in plans:
        found = plan.listing.find(sample_id)
        if found is None:
            continue
        unit, number = found
        for stage in committed:
            if stage is plan.stages.get(stage.name) and unit in stage.committed:
                with UnitReader(stage.folder, unit, stage.spec.tar) as reader:
                    if reader.row(number, variant) is not None:
                        picks.append(Pick(stage.name, unit, number, variant))
    if not picks:
        what = f"sample {sample_id}" + (f", variant {variant}" if variant else "")
        raise StoreError(
            f"{plans[0].store}: no row of {what} was made under this configuration; `fasgen show` lists what there is"
        )
    return picks


class Replayer:
    """Makes rows again, each alone in its batch, and keeps the stage that it holds for the next.

    Args:
        plans: the plans under which the rows were made, each with units of its own.
        scratch: an empty folder.
    """

    def __init__(self, plans: Sequence[Plan], scratch: Path) -> None:
        self._plans, self._scratch = plans, scratch
        self._held: tuple[str, int, Stage] | None = None
        self._count = 0

    def __call__(self, pick: Pick) -> tuple[Replayed, UnitReader]:
        """Make one row again; the reader has the new row as its only one.

        Raises:
            FasgenError: what the row was made of is not there any more.
        """
        plan = next(plan for plan in self._plans if pick.unit in plan.listing.numbers)
        stage = plan.stages[pick.stage]
        facts = unit_facts(stage.folder, pick.unit)
        task = plan.task(Assign(0, Key(pick.stage, pick.unit)), self._scratch)
        spec: StageSpec = resolve(task.target).of(task.config)
        config, batch = _rung(spec, task, facts)
        task = replace(task, config=config, batch=batch)
        self._count += 1
        folder = self._scratch / f"{self._count:06d}"
        _make(task, spec, pick, self._hold(task, spec), folder)
        reader = UnitReader(folder, pick.unit, stage.spec.tar)
        with UnitReader(stage.folder, pick.unit, stage.spec.tar) as stored:
            return compare(pick, stored, reader, facts), reader

    def _hold(self, task: UnitTask, spec: StageSpec) -> Stage:
        import torch

        if self._held is None or self._held[:2] != (task.plan_hash, task.batch):
            self._held = None
            release_memory()
            torch.set_num_threads(self._plans[0].resources.threads)
            if task.accelerator:
                # As the worker has it: else convolutions may sum in another order than they did.
                torch.backends.cudnn.deterministic = True
            device = torch.device("cuda" if task.accelerator else "cpu")
            self._held = task.plan_hash, task.batch, spec.build(task.config, device)
        return self._held[2]


def _rung(spec: StageSpec, task: UnitTask, facts: UnitFacts) -> tuple[StageConfig, int]:
    """Configuration and batch that the unit was really made in."""
    wanted = facts.micro_batch or task.batch
    for batch, config in ladder(spec, task.config, task.batch):
        if batch == wanted:
            return config, batch
    raise StoreError(
        f"{task.folder}: unit {task.key.unit} was made {wanted} samples a call, which is not on the stage's ladder"
    )


def _make(task: UnitTask, spec: StageSpec, pick: Pick, stage: Stage, folder: Path) -> None:
    unit = open_input(task, spec)
    try:
        unseen = Reject(Reason.STAGE_ERROR)
        rows = [unit.skip(position, unseen).row for position in range(len(unit.places))]
        position = next((i for i, row in enumerate(rows) if (row.row, row.variant) == (pick.row, pick.variant)), None)
        if position is None:
            raise StoreError(f"{task.folder}: unit {pick.unit} does not plan row {pick.row}, variant {pick.variant} any more")
        loaded = unit.load(position)
    finally:
        unit.close()
    outcome = call(stage, spec, [loaded.sample])[0] if isinstance(loaded.sample, Sample) else loaded.sample
    with open_output(replace(task, folder=folder), spec) as writer:
        write_row(writer, loaded, outcome)
        writer.commit(1)


def replay(plans: Sequence[Plan], picks: Sequence[Pick], scratch: Path) -> Iterator[Replayed]:
    """Make rows again, those of one stage one after the other."""
    order = {name: rank for rank, name in enumerate(plans[0].stages)}
    again = Replayer(plans, scratch)
    for pick in sorted(picks, key=lambda pick: (order[pick.stage], pick.unit, pick.row, pick.variant)):
        replayed, reader = again(pick)
        reader.close()
        yield replayed


def write_sample(plans: Sequence[Plan], picks: Sequence[Pick], out: Path, scratch: Path) -> Iterator[Replayed]:
    """Make the rows of one sample again and write what each holds below ``out``, a folder a stage.

    Where the sample was tried again, the row of the added unit, which outweighs the earlier one, is what remains there.

    Images and files are written as they are stored, arrays as ``.npy``, the row as JSON.

    Raises:
        StoreError: ``out`` cannot be written.
    """
    import json

    again = Replayer(plans, scratch)
    for pick in picks:
        replayed, reader = again(pick)
        with reader:
            folder = out / pick.stage
            try:
                folder.mkdir(parents=True, exist_ok=True)
                row = dict(reader.row(pick.row, pick.variant) or {})
                key = replayed.sample_id if not pick.variant else f"{replayed.sample_id}-{pick.variant}"
                text = json.dumps(row, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
                (folder / f"{key}.row.json").write_text(text, "utf-8")
                if row["status"] == Status.OK.value:
                    for extension in reader.members(pick.row, pick.variant):
                        (folder / f"{key}.{extension}").write_bytes(reader.file(pick.row, extension, pick.variant))
                    # The new unit has one row, so it has the arrays that the row has and no others.
                    for name in reader.facts.arrays:
                        np.save(folder / f"{key}.{name}.npy", reader.array(pick.row, name, pick.variant))
            except OSError as error:
                raise StoreError(f"{out}: cannot be written ({error.strerror}): choose another folder with --out") from error
        yield replayed


def _int(value: Scalar) -> int:
    return int(str(value))
