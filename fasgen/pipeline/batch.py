"""The batch of a stage whose setting is ``auto``: found once for each device, and kept by what was begun with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from fasgen.cache_folder import cache_home
from fasgen.errors import FasgenError, StoreError
from fasgen.json_reader import parse_json
from fasgen.manifests.atomic import write_atomic
from fasgen.manifests.plan_file import read_current, read_plan
from fasgen.pipeline.graph import ascii_json, plain
from fasgen.pipeline.rehearsal import Rehearsal, best
from fasgen.pipeline.resources import Resources, library_versions
from fasgen.stages.stage import StageConfig, StageSpec

AUTO = "auto"
"""The setting ``batch`` of a stage that leaves it to the device."""

Measure = Callable[[Rehearsal, str], Mapping[int, float]]
"""From a stage and a device's name to images a second by batch."""


class Batch(NamedTuple):
    """Samples a call, and why so many; ``why`` is empty where the configuration says it, or a CPU's usual batch is taken."""

    size: int
    why: str = ""


def is_auto(config: StageConfig) -> bool:
    """Whether the batch is left to the device."""
    return getattr(config, "batch", None) == AUTO


def begun(store: Path, stage: str) -> Iterator[int]:
    """The batches of the stage's generations in the store, the current one first, then those before it."""
    for one in read_current(store).get(stage, ()):
        # A generation whose plan is gone or damaged says no batch.
        with suppress(StoreError):
            batch = read_plan(store / one.folder).get("batch")
            if isinstance(batch, int) and batch > 0:
                yield batch


class Batches:
    """Finds batches: known from an earlier measurement of this user, else measured now, if it may be.

    Args:
        resources: what the run uses.
        measure: measures; nothing is measured if ``None``, and the usual batch stands in.
        cache: file of what was measured before; the user's if ``None``.
    """

    def __init__(self, resources: Resources, measure: Measure | None = None, cache: Path | None = None) -> None:
        self._resources, self._measure, self._cache = resources, measure, cache

    def choose(
        self,
        spec: StageSpec,
        target: str,
        config: StageConfig,
        weights: Mapping[str, str],
        side: int,
        most: int,
        *,
        measuring: bool = True,
    ) -> Batch:
        """The batch for a stage whose setting is ``auto``: the smallest of those that suit the run's kinds of GPU.

        Args:
            spec: the stage.
            target: ``module:attribute`` of it.
            config: its configuration.
            weights: digest by role.
            side: side of the crops, px.
            most: rows of a unit: a batch of more would be partly empty.
            measuring: whether it is worth a measurement: the run makes the stage.
        """
        usual = spec.batch(config)
        if spec.device != "accelerator" or not self._resources.gpus or not spec.rehearse:
            return Batch(usual)
        job = Rehearsal(target, config, side, self._resources.threads)
        key = _key(spec, config, weights, side)
        try:
            found = {device: self._on(device, job, key, measuring) for device in self._resources.models}
        except FasgenError as error:
            return Batch(usual, f"could not be measured: {error}")
        sizes = [size for size in found.values() if size is not None]
        if len(sizes) < len(found) or not sizes:
            return Batch(usual, "not measured yet")
        size = min(sizes)
        while size > max(most, usual):
            size //= 2
        return Batch(size, f"measured on {' and '.join(found)}")

    def _on(self, device: str, job: Rehearsal, key: str, measuring: bool) -> int | None:
        path = self._cache or cache_home() / "batches.json"
        known = _read(path).get(key, {}).get(device)
        if known is not None or self._measure is None or not measuring:
            return known
        size = best(dict(self._measure(job, device)))
        # Read again: a measurement takes minutes.
        every = _read(path)
        every[key] = every.get(key, {}) | {device: size}
        # A cache that cannot be written costs a measurement, no run.
        with suppress(OSError):
            write_atomic(path, (json.dumps(every, indent=1, sort_keys=True) + "\n").encode())
        return size


def _key(spec: StageSpec, config: StageConfig, weights: Mapping[str, str], side: int) -> str:
    """Stages that share a section and weights are one network."""
    settings = plain(config, tuple(spec.weights(config).values()))
    del settings["batch"]
    decides = {"config": settings, "version": spec.version, "weights": dict(weights), "side": side}
    digest = hashlib.sha256(ascii_json({**decides, "libraries": dict(library_versions())})).hexdigest()
    return f"{spec.name}/{digest[:16]}"


def _read(path: Path) -> dict[str, dict[str, int]]:
    try:
        found = parse_json(path.read_bytes())
    except (OSError, ValueError):
        return {}
    every = found if isinstance(found, dict) else {}
    return {
        key: {device: size for device, size in sizes.items() if isinstance(size, int) and size > 0}
        for key, sizes in every.items()
        if isinstance(sizes, dict)
    }
