"""From packed shards to batches on a device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fasgen.downstream.config import IMAGE, DataConfig
from fasgen.downstream.identities import Identities
from fasgen.errors import ConfigError
from fasgen.reader import (
    CueScale,
    Draw,
    FasIndex,
    JointAugment,
    SampleDecoder,
    SampleTable,
    collate,
    scale_cue,
)
from fasgen.reader.decode import FACE
from fasgen.selection.selection import passing

if TYPE_CHECKING:
    import pyarrow as pa


class Shards:
    """The shards of an experiment, opened once for all of its runs.

    Args:
        config: where they are and how they become tensors.
        cues: whether cues are read at all.
        seed: of the augmentation.

    Raises:
        StoreError: there are no shards, or one is damaged.
        ConfigError: no cue is named, and there is none that all samples have.
        FilterError: ``where`` is no filter over what the samples say.

    Attributes:
        table: the samples that pass ``where``.
        left_out: how many do not.
    """

    def __init__(self, config: DataConfig, cues: bool, seed: int = 0) -> None:
        augment = JointAugment(config.flip, config.degrees, config.scale, config.shift)
        size = (config.size, config.size)
        self._scale, self._workers = config.cue_scale, config.workers
        self._train = FasIndex(
            config.shards,
            SampleDecoder((), cue_scale=config.cue_scale, size=size, augment=augment, seed=seed, mask=config.mask),
            keep=config.keep,
        )
        metas = [self._train.meta(number) for number in range(len(self._train))]
        self._cues = _named(config, metas) if cues else ()
        members = tuple(name for name in self._cues if name != IMAGE)
        self._train.decoder = replace(self._train.decoder, cues=members)
        self._plain = self._train.unaugmented()
        self.table, self.left_out = SampleTable.of_metas(metas), 0
        if config.identities is not None:
            self.table = Identities.read(config.identities).join(self.table, metas)
        if config.where:
            passes = passing(_columns(metas), config.where)
            self.table, self.left_out = self.table.take(passes), int((~passes).sum())
        self._subject_of = dict(zip(self.table.sample_id, self.table.subject, strict=True))

    @property
    def cues(self) -> tuple[str, ...]:
        """Names of the stacked cues, in their order."""
        return self._cues

    @property
    def cue_channels(self) -> int:
        """Channels of the stacked cues."""
        first: Any = self._plain[0]
        return sum(int(first[name].shape[0]) for name in self._cues)

    def training(self, sampler: Iterable[list[Draw]], device: torch.device) -> Iterator[Batch]:
        """Augmented batches as ``sampler`` draws them."""
        yield from self._batches(self._train, sampler, device)

    def plain(self, table: SampleTable, batch: int, device: torch.device) -> Iterator[Batch]:
        """The samples of ``table`` in order, not augmented."""
        numbers = [int(number) for number in table.number]
        batches = [numbers[i : i + batch] for i in range(0, len(numbers), batch)]
        yield from self._batches(self._plain, batches, device)

    def _batches(self, index: FasIndex, batches: Iterable[list[Any]], device: torch.device) -> Iterator[Batch]:
        # With a generator of its own; else the loader draws from the global one, and a resumed run would not equal a whole one.
        loader: DataLoader[Any] = DataLoader(
            index, batch_sampler=batches, num_workers=self._workers, collate_fn=collate, generator=torch.Generator()
        )
        yield from (Batch(loaded, self._cues, self._scale, device) for loaded in loader)

    def numbers(self, batch: Batch, key: str, of: dict[str, int]) -> Tensor:
        """(B,) numbers that ``of`` gives for the samples' values of ``key``; subjects are those of ``data.identities`` too."""
        words = [self._subject_of[m["sample_id"]] if key == "subject" else str(m.get(key) or "") for m in batch.meta]
        return torch.tensor([of[word] for word in words], device=batch.label.device)


class Batch:
    """A batch on its device.

    Attributes:
        image: (B, 3, H, W) in [-1, 1].
        cue: (B, C, H, W), all cues stacked; None without any. A cue named ``image`` is the image as it was moved, scaled like
            a cue.
        label: (B,), 1 live, 0 spoof.
        meta: JSON of each sample.
    """

    def __init__(self, loaded: dict[str, Any], cues: Sequence[str], scale: CueScale, device: torch.device) -> None:
        self.image: Tensor = loaded["image"].to(device, non_blocking=True)
        face = loaded.get(FACE, 1.0)
        stack = [_as_cue(loaded[name] * face, scale) if name == IMAGE else loaded[name] for name in cues]
        self.cue: Tensor | None = torch.cat(stack, 1).to(device) if stack else None
        self.label: Tensor = loaded["label"].to(device)
        self.meta: list[dict[str, Any]] = loaded["meta"]


def _named(config: DataConfig, metas: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    if config.cues is not None:
        return config.cues
    have = [list(meta.get("cues") or ()) for meta in metas]
    names = tuple(name for name in have[0] if all(name in others for others in have)) if have else ()
    if not names:
        raise ConfigError("no cue is in every sample of the shards: name those to read in data.cues")
    return names


_SECTIONS = ("geometry", "quality", "synthesis")


def _columns(metas: Sequence[dict[str, Any]]) -> pa.Table:
    """What samples say of themselves, and below geometry, quality and synthesis, as columns; parts of parts are left out."""
    import pyarrow as pa

    rows = [
        {
            key: value
            for part in (meta, *(meta.get(section) or {} for section in _SECTIONS))
            for key, value in part.items()
            if not isinstance(value, dict)
        }
        for meta in metas
    ]
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: [row.get(name) for row in rows] for name in names})


def _as_cue(images: Tensor, scale: CueScale) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1], each scaled like a cue in which 1 stands for 1."""
    return torch.stack([scale_cue(image, scale, 1.0) for image in images])
