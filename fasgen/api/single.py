"""One stage applied to pictures in memory, with all that it needs made on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fasgen.errors import ConfigError
from fasgen.manifests.images import encode_png
from fasgen.pipeline.selecting import asks
from fasgen.pipeline.wiring import Lanes, wire
from fasgen.records import PHOTOGRAPHED, PROVENANCE, Scalar
from fasgen.seeds import sample_seed
from fasgen.stages import specs
from fasgen.stages.stage import RGB, Product, Reads, Reject, Sample, SampleCue, Stage, StageConfig, StageSpec, never_off

if TYPE_CHECKING:
    import torch

Made = dict[str, Product | Reject]
"""What became of one picture, by stage."""


class AppliedStage:
    """A stage and all that it reads, held in memory; networks are loaded at the first call.

    Args:
        name: the stage.
        settings: of the stage.
        config: further configuration, as a file would hold it.
        device: where networks compute; None: a GPU where there is one.

    Raises:
        ConfigError: there is no such stage, a setting is wrong, or the stage needs a whole store.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], config: Mapping[str, Any], device: str | None) -> None:
        from fasgen.config import load, nearest

        known = specs()
        if name not in known and name not in Lanes(known).makes:
            near = nearest(name, list(known))
            hint = f"; did you mean {near}?" if near else "."
            raise ConfigError(f"there is no stage {name!r}{hint} Stages: {', '.join(known)}")
        if PHOTOGRAPHED not in Lanes(known).makes[name][1]:
            raise ConfigError(f"{name} is made of what is drawn from a whole store: it cannot be applied to single pictures")
        self._config = load({**config, name: {**config.get(name, {}), **settings}})
        self._specs = {one: _alone(spec, one == name) for one, spec in known.items()}
        wired = wire(self._specs, lambda stage: getattr(self._config, stage))
        self._lanes = {one: next(iter(wiring.sets), ()) for one, wiring in wired.items()}
        self._order = [one for one in wired if one in _needed(name, self._lanes)]
        sections = {one: self._section(one) for one in self._order}
        for one, section in sections.items():
            if asks(section):
                raise ConfigError(f"{one}: where and protocol choose rows of a store, and pictures are none: leave them out")
            if why := self._specs[one].refusal(section, sections):
                raise ConfigError(why)
        self.name, self._device = name, device
        self._built: dict[tuple[str, int], Stage] = {}

    def __call__(self, pictures: Sequence[RGB]) -> list[Product | Reject]:
        """What the stage makes of pictures: photographs as a source has them.

        A picture's randomness follows from its pixels and the configuration's seed, so that the same picture gives the same
        product, in whatever company, on one kind of device.

        Args:
            pictures: H x W x 3 uint8 RGB each, of any size.

        Returns:
            a product, or the reject of the stage on the way that turned the picture away, for each, in order.

        Raises:
            ConfigError: a picture is of another type.
            WeightsError: weights are missing or do not fit.
        """
        for number, picture in enumerate(pictures):
            if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
                raise ConfigError(f"picture {number} is no array H x W x 3 of uint8 in RGB")
        made: list[Made] = [{} for _ in pictures]
        ids = [_identity(picture) for picture in pictures]
        for stage in self._order:
            self._make(stage, pictures, ids, made)
        return [one[self.name] for one in made]

    def _section(self, stage: str) -> Any:
        return getattr(self._config, stage)

    def _make(self, stage: str, pictures: Sequence[RGB], ids: Sequence[str], made: list[Made]) -> None:
        spec, section = self._specs[stage], self._section(stage)
        batch = spec.batch(section)
        for start in range(0, len(pictures), batch):
            group = range(start, min(start + batch, len(pictures)))
            samples: dict[int, Sample] = {}
            for number in group:
                slot = number - start
                seed = sample_seed(self._config.seed, stage, ids[number])
                sample = Sample(ids[number], seed, slot, values={column.name: None for column in PROVENANCE})
                reject = self._fill(sample, stage, pictures[number], made[number])
                if reject:
                    made[number][stage] = reject
                else:
                    samples[number] = sample
            if samples:
                outcomes = self._stage(spec, section, len(group), batch)(list(samples.values()))
                for number, outcome in zip(samples, outcomes, strict=True):
                    made[number][stage] = self._told(stage, outcome)

    def _told(self, stage: str, outcome: Product | Reject) -> Product | Reject:
        """A reject on the way, with the stage that it is of."""
        if isinstance(outcome, Reject) and stage != self.name:
            return Reject(outcome.reason, f"{stage}: {outcome.detail}".rstrip(": "))
        return outcome

    def _fill(self, sample: Sample, stage: str, picture: RGB, made: Made) -> Reject | None:
        if not self._lanes[stage]:
            sample.images["image"] = picture
            sample.values |= {"frames_decoded": None, "source_sha256": None}
        for read in self._lanes[stage]:
            outcome = made[read.stage]
            if isinstance(outcome, Reject):
                return outcome
            _take(sample, read, outcome)
        return None

    def _stage(self, spec: StageSpec, section: StageConfig, count: int, batch: int) -> Stage:
        """The stage for so many pictures: where its batch can be chosen, no place of it is computed in vain."""
        smaller = section.model_copy(update={"batch": count}) if "batch" in type(section).model_fields else section
        size = count if spec.batch(smaller) == count else batch
        key = spec.name, size
        if key not in self._built:
            # One size at a time: networks are large.
            self._built = {other: stage for other, stage in self._built.items() if other[0] != spec.name}
            self._built[key] = spec.build(smaller if size == count else section, self._torch_device(spec))
        return self._built[key]

    def _torch_device(self, spec: StageSpec) -> torch.device:
        import torch

        if spec.device == "cpu":
            return torch.device("cpu")
        return torch.device(self._device or ("cuda" if torch.cuda.is_available() else "cpu"))


def stage(name: str, *, config: Mapping[str, Any] | None = None, device: str | None = None, **settings: Any) -> AppliedStage:
    """A stage to apply to pictures, for notebooks: ``fasgen.stage("defake", t=600)(pictures)``.

    Args:
        name: the stage; those that it reads are made on the way.
        config: configuration of the others, as a file would hold it: ``{"align": {"size": 224}}``.
        device: where networks compute, as torch names it; None: a GPU where there is one.
        settings: of the stage itself.

    Raises:
        ConfigError: there is no such stage, a setting is wrong, or the stage needs a whole store.
    """
    return AppliedStage(name, settings, config or {}, device)


def _alone(spec: StageSpec, wanted: bool) -> StageSpec:
    """What draws its rows from a whole store is off; what was asked for is on."""
    if spec.roster:
        return replace(spec, off=lambda config: True)
    return replace(spec, off=never_off) if wanted else spec


def _needed(name: str, lanes: Mapping[str, Sequence[Reads]]) -> set[str]:
    above = {read.stage for read in lanes[name]}
    return {name}.union(*(_needed(one, lanes) for one in above))


def _identity(picture: RGB) -> str:
    head = f"{picture.shape[0]} x {picture.shape[1]}:".encode()
    return hashlib.sha256(head + np.ascontiguousarray(picture).tobytes()).hexdigest()[:16]


def _take(sample: Sample, read: Reads, made: Product) -> None:
    """What a stage reads of what another made; manifest columns that only a store has are null."""
    if read.cue:
        values: dict[str, Scalar] = {name: made.values.get(name) for name in read.columns}
        sample.cues[read.cue.name] = SampleCue(read.cue, made.arrays[read.cue.name], values)
        return
    sample.images.update((read.prefix + name, made.images[name]) for name in read.images)
    sample.files.update((read.prefix + name, encode_png(made.images[name], name)) for name in read.encoded)
    sample.arrays.update((read.prefix + name, made.arrays[name]) for name in read.arrays)
    sample.values.update((read.prefix + name, made.values.get(name)) for name in read.columns)
