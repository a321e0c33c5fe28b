"""Experiments from end to end: every variant, fold and seed is trained, scored, and put into one table."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import distributed as dist

from fasgen.downstream import conditions, metrics
from fasgen.downstream.config import Experiment, ScoringConfig
from fasgen.downstream.data import Shards
from fasgen.downstream.detector import write_about
from fasgen.downstream.evaluate import Evaluation, Settings, evaluate_all, trials
from fasgen.downstream.leaks import leaks, seen_in
from fasgen.downstream.protocols import Fold, folds
from fasgen.downstream.report import write_report
from fasgen.downstream.sampling import training_sampler
from fasgen.downstream.scores import Score, ScoreTable, read_scores, write_scores
from fasgen.downstream.tasks import DlifTask, FasTask, build_task
from fasgen.errors import ConfigError
from fasgen.reader import SampleTable, SubjectSampler
from fasgen.reader.split import rank_and_world
from fasgen.training.loop import train

Say = Callable[[str], object]


def run_experiments(
    experiments: Mapping[str, Experiment], device: torch.device, say: Say, strict: bool = False
) -> tuple[Path, list[Evaluation]]:
    """Run everything that has not been run yet, then evaluate all scores.

    A run whose scores lie there, made with the same settings on the same samples, is not run again; one that was cut off goes
    on from its checkpoint. Per run: ``<out>/<variant>/<fold>/seed-<n>/`` with curve, checkpoint, weights and ``scores.csv``;
    for all: ``<out>/scores.csv`` and the tables and pictures beside it.

    Under a launcher (torchrun) the ranks train each run together, with the batches that one rank alone would draw; rank 0
    scores, writes and returns figures, the others return none.

    Args:
        experiments: variant to settings; ``out`` and ``scoring`` are the same in all.
        device: where to train.
        say: is told what happens, line by line, and first what the trained side knows of what is tested.
        strict: refuse to train where it knows anything of it, or where that is not known.

    Returns:
        the folder of the report, and the figures.

    Raises:
        ConfigError: settings contradict each other, or the samples; or what is tested is known, and ``strict`` asks.
    """
    rank, world = _ranks(device)
    say = say if rank == 0 else _silent
    first = _common(experiments)
    opened: dict[tuple[str, bool], Shards] = {}
    # All is checked before anything is trained: hours later is too late for a misspelt target.
    plans = [(name, e, _open(e, opened)) for name, e in experiments.items()]
    jobs = [(name, e, shards, fold) for name, e, shards in plans for fold in folds(shards.table, e.protocol, _store(e))]
    if any(e.protocol.kind != "splits" and not e.protocol.name for e in experiments.values()):
        say("protocol: a cut of these data, and none of the published protocols; protocol.name takes one of those")
    for name, _, shards in plans:
        if shards.left_out:
            say(f"{name}: left out {shards.left_out} samples that do not pass data.where")
    for name, experiment, _, fold in jobs:
        for why, count in fold.left_out.items():
            say(f"{name}, {fold.name}: left out {count} samples, {why}")
        known = leaks(experiment, fold)
        for sentence in known:
            say(f"{name}, {fold.name}: leak: {sentence}")
        if known and strict:
            raise ConfigError(
                f"--strict: {name}, {fold.name}: {known[0]}"
                + (f"; and {len(known) - 1} more of its kind" if len(known) > 1 else "")
                + ": train those networks without what is tested, or test on something else"
            )
        sampler = training_sampler(experiment, fold.train, experiment.seeds[0])
        for what, why in sampler.left_out.items() if isinstance(sampler, SubjectSampler) else ():
            say(f"{name}, {fold.name}: left out {what}: {why}")
        training_sampler(experiment, fold.train, experiment.seeds[0], 0, rank, world)
    rows: list[Score] = []
    # Seed by seed, so that a table that is cut off has every method on every fold, with fewer seeds.
    runs = sorted(((job, seed) for job in jobs for seed in job[1].seeds), key=lambda run: run[0][1].seeds.index(run[1]))
    for number, ((name, experiment, shards, fold), seed) in enumerate(runs, 1):
        say(f"run {number} of {len(runs)}: {name}, {fold.name}, seed {seed}")
        rows += _run(name, experiment, shards, fold, seed, device, say, rank, world)
    if world > 1:
        dist.barrier()
    if rank:
        return first.out, []
    write_scores(first.out / "scores.csv", rows)
    foot = [
        *conditions.of_shards(folder for e in experiments.values() for folder in _packed(e)),
        conditions.of_frames([fold for *_, fold in jobs]),
    ]
    conditions.write(first.out, foot)
    evaluations = evaluate_all(trials(ScoreTable(rows)), scoring(first.scoring))
    write_report(first.out, evaluations, foot)
    return first.out, evaluations


def scoring(config: ScoringConfig) -> Settings:
    """Settings of the evaluation."""
    return Settings(config.level, config.threshold, bpcer=config.bpcer, shared=config.shared, bootstrap=config.bootstrap)


def _ranks(device: torch.device) -> tuple[int, int]:
    """This rank and their number; under a launcher the group is joined."""
    rank, world = rank_and_world(None, None)
    if device.type == "cuda" and device.index is not None:
        # What names no device, as NCCL's barrier does not, means the current one: the first, for every rank.
        torch.cuda.set_device(device)
    if world > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=world)
    return rank, world


def _silent(line: str) -> None:
    """Says nothing."""


def _common(experiments: Mapping[str, Experiment]) -> Experiment:
    first = next(iter(experiments.values()))
    for name, one in experiments.items():
        if one.out != first.out or one.scoring != first.scoring:
            raise ConfigError(f"variant {name}: out and scoring belong to all variants; set them in the common part")
    return first


def _open(experiment: Experiment, opened: dict[tuple[str, bool], Shards]) -> Shards:
    cues = experiment.method == "fas" and experiment.model.use != "image"
    key = (experiment.data.model_dump_json(), cues)
    if key not in opened:
        opened[key] = Shards(experiment.data, cues)
    return opened[key]


def _packed(experiment: Experiment) -> list[Path]:
    """The deliveries that the shards are of."""
    return [path if path.is_dir() else path.parent for path in map(Path.absolute, experiment.data.shards)]


def _store(experiment: Experiment) -> Path:
    """The store in which the first of the shards lies."""
    return _packed(experiment)[0].parent


def _run(
    name: str,
    experiment: Experiment,
    shards: Shards,
    fold: Fold,
    seed: int,
    device: torch.device,
    say: Say,
    rank: int,
    world: int,
) -> list[Score]:
    folder = experiment.out / _slug(name) / _slug(fold.name) / f"seed-{seed}"
    scores, mark = folder / "scores.csv", folder / "run.json"
    identity = _identity(experiment, fold, seed)
    if mark.is_file() and json.loads(mark.read_text("utf-8")).get("identity") != identity:
        raise ConfigError(f"{folder}: holds a run with other settings or samples; choose another out= or delete it")
    if scores.is_file() and mark.is_file():
        say("  already run")
        return list(read_scores(scores).rows)
    torch.manual_seed(seed)
    task = build_task(experiment, shards, fold, seed, device)
    if world > 1 and device.type == "cuda":
        # Statistics of the whole batch, so that a result does not hang on the number of GPUs; torch has none for the CPU.
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(task.module)  # type: ignore[no-untyped-call]
    task.seen = seen_in(experiment, fold)
    if rank == 0:
        folder.mkdir(parents=True, exist_ok=True)
        about = {"identity": identity, "method": name, "protocol": fold.name, "seed": seed}
        counts = {part: len(getattr(fold, part)) for part in ("train", "dev", "test")}
        settings = json.loads(experiment.model_dump_json())
        write_about(folder, task.shape, shards.cues, experiment.data.shards)
        mark.write_text(json.dumps({**about, **counts, "settings": settings}, indent=1), "utf-8")
    every = math.ceil(experiment.loop.steps / experiment.scoring.looks)
    looks = folder / "looks"

    def look(step: int) -> Mapping[str, float]:
        # A training that time ends does not know its last step before; any is looked at then.
        if step % every and step != experiment.loop.steps and not experiment.loop.minutes:
            return {}
        scored = {split: (table, _scores_of(task, table)) for split, table in (("dev", fold.dev), ("test", fold.test))}
        write_scores(
            looks / f"{step:07d}.csv",
            [
                row
                for split, (table, values) in scored.items()
                for row in _rows(table, values, experiment.data.clip, split, name, fold.name, seed, step)
            ],
        )
        return _figures(*scored["dev"])

    task.look = look
    loop = experiment.loop.model_copy(update={"out": folder, "seed": seed, "sheet_every": every})
    train(task, loop, device, rank=rank, world=world, say=lambda line: say(f"  {line}"))
    if rank:
        return []
    rows = [row for path in sorted(looks.glob("*.csv")) for row in read_scores(path).rows]
    write_scores(scores, rows)
    return rows


def _scores_of(task: FasTask | DlifTask, table: SampleTable) -> list[float]:
    return task.scores(table) if len(table) else []


def _figures(dev: SampleTable, values: list[float]) -> Mapping[str, float]:
    """AUC and EER on dev for the curve; nothing of the target, which is no place to look while one waits."""
    if set(dev.label.tolist()) != {0, 1}:
        return {}
    points = metrics.roc(dev.label, values)
    return {"auc": metrics.auc(points), "eer": metrics.eer(points)}


def _rows(
    table: SampleTable,
    values: list[float],
    clip: Callable[[str, int, str], str],
    split: str,
    method: str,
    protocol: str,
    seed: int,
    step: int,
) -> list[Score]:
    return [
        Score(
            sample=str(table.sample_id[i]),
            label=int(table.label[i]),
            score=value,
            video=clip(str(table.path[i]), int(table.frame[i]), str(table.video[i])),
            attack_type=str(table.attack_type[i]),
            split=split,
            dataset=str(table.dataset[i]),
            method=method,
            protocol=protocol,
            seed=str(seed),
            subject=str(table.subject[i]),
            step=str(step),
        )
        for i, value in enumerate(values)
    ]


def _identity(experiment: Experiment, fold: Fold, seed: int) -> str:
    """Digest of all that decides about the scores; where the shards lie and where the run writes do not."""
    settings = experiment.model_dump(mode="json", exclude={"out": True, "scoring": True, "seeds": True, "protocol": True})
    for key in ("shards", "workers", "keep"):
        settings["data"].pop(key)
    for key in ("out", "threads", "log_every", "checkpoint_every", "sheet_every", "compile", "prefetch"):
        settings["loop"].pop(key)
    if experiment.data.mask == "none":
        # So runs from before there was a mask are still theirs.
        settings["data"].pop("mask")
    settings["looks"] = experiment.scoring.looks
    if experiment.loop.schedule != "step":
        for key in ("decay_every", "decay"):
            settings["loop"].pop(key)
    samples = [list(table.sample_id) for table in (fold.train, fold.dev, fold.test)]
    text = json.dumps([settings, samples, seed], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _slug(text: str) -> str:
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in text).strip(".-")
    return kept or "all"
