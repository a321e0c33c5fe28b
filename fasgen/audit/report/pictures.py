"""The pictures of a sample, whichever stages made them: for reports and sheets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.report.sheet import GAIN, cue_picture
from fasgen.errors import StoreError
from fasgen.manifests.arrays import ArrayReader
from fasgen.manifests.images import RGB, decode_image
from fasgen.manifests.plan_file import read_plan
from fasgen.manifests.products import CueFacts, products
from fasgen.manifests.tar import TarReader
from fasgen.manifests.unit import group_path, member_key, unit_facts

OPEN = 32
"""Units that stay open."""

_IMAGE = ".png"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one row's product lies.

    Attributes:
        stage: stage name.
        unit: the unit.
        sample_id: the sample.
        variant: its variant.
        array_index: the row's ``array_index``.
    """

    stage: str
    unit: int
    sample_id: str
    variant: int
    array_index: int


class _Unit:
    """A committed unit's tar and those arrays that are cues."""

    def __init__(self, folder: Path, unit: int, cues: Mapping[str, CueFacts]) -> None:
        facts = unit_facts(folder, unit)
        self.tar = TarReader(folder / facts.tar) if facts.tar else None
        self.images: dict[str, list[str]] = {}
        for name in self.tar.members if self.tar else ():
            key, _, extension = name.partition(".")
            if extension.endswith(_IMAGE):
                self.images.setdefault(key, []).append(extension.removesuffix(_IMAGE))
        self.arrays: dict[str, ArrayReader] = {}
        for field in cues:
            if field not in facts.arrays:
                continue
            reader = ArrayReader(group_path(folder, unit) / field)
            if len(reader.shape) != 4:
                reader.close()
                raise StoreError(f"{group_path(folder, unit) / field}: is called a cue, and has no H x W x C of each sample")
            self.arrays[field] = reader

    def close(self) -> None:
        if self.tar:
            self.tar.close()
        for reader in self.arrays.values():
            reader.close()


class Gallery:
    """Reads pictures from committed units, a few of which it keeps open.

    An image field is a picture as it is; a cue is drawn as its stage's ``plan.json`` says. Where a cue leaves a picture that is
    not stored, that picture is the image less the cue, bit for bit.

    Args:
        folders: generation by stage, in the order in which samples meet the stages.
        gain: amplification of cues.

    Raises:
        StoreError: a plan is missing or damaged.
    """

    def __init__(self, folders: Mapping[str, Path], gain: float = GAIN) -> None:
        self._folders, self._gain = dict(folders), gain
        self._cues = {stage: products(read_plan(folder)).cues for stage, folder in self._folders.items()}
        self._open: OrderedDict[tuple[str, int], _Unit] = OrderedDict()

    def _unit(self, stage: str, unit: int) -> _Unit:
        key = stage, unit
        if key not in self._open:
            self._open[key] = _Unit(self._folders[stage], unit, self._cues[stage])
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return self._open[key]

    def first(self, places: Sequence[Place]) -> RGB | None:
        """The first image that any of the rows of one sample has; None where none has one.

        Raises:
            StoreError: a payload is damaged.
        """
        for place in places:
            for field in self._fields(place):
                return self._image(place, field)
        return None

    def all(self, places: Sequence[Place]) -> dict[str, RGB]:
        """Every picture of one sample by field, in the order of the stages; a field that two stages made is the first one's.

        Raises:
            StoreError: a payload is damaged.
        """
        found: dict[str, RGB] = {}
        for place in places:
            for field in self._fields(place):
                if field not in found:
                    found[field] = self._image(place, field)
            for field, reader in self._unit(place.stage, place.unit).arrays.items():
                if field not in found and reader.has(place.array_index):
                    facts, cue = self._cues[place.stage][field], reader.read(place.array_index)
                    found |= _left(next(iter(found.values()), None), cue, facts, found)
                    found[field] = cue_picture(cue, facts, self._gain)
        return found

    def _fields(self, place: Place) -> list[str]:
        return self._unit(place.stage, place.unit).images.get(member_key(place.sample_id, place.variant), [])

    def _image(self, place: Place, field: str) -> RGB:
        name = f"{member_key(place.sample_id, place.variant)}.{field}{_IMAGE}"
        tar = self._unit(place.stage, place.unit).tar
        if tar is None:
            raise StoreError(f"{self._folders[place.stage]}: unit {place.unit} has no tar: run `fasgen verify`")
        return decode_image(tar.read(name), f"{self._folders[place.stage]}: {name}")

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _left(image: RGB | None, cue: NDArray[Any], facts: CueFacts, found: Mapping[str, RGB]) -> dict[str, RGB]:
    """What a cue leaves of the image, where it leaves anything and that is not stored."""
    if image is None or not facts.leaves or facts.leaves in found or cue.shape != image.shape:
        return {}
    return {facts.leaves: np.clip(image.astype(np.int32) - cue, 0, 255).astype(np.uint8)}
