"""The pictures of a sample, whichever stages made them: for reports and sheets."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fasgen.audit.report.sheet import in_levels
from fasgen.errors import StoreError
from fasgen.manifests.arrays import ArrayReader
from fasgen.manifests.images import decode_image
from fasgen.manifests.tar import TarReader
from fasgen.manifests.unit import group_path, member_key, unit_facts

OPEN = 32
"""Units that stay open."""

_IMAGE = ".png"
_RESIDUAL, _RECONSTRUCTION = "residual", "reconstruction"


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
    """A committed unit's tar and those arrays that are pictures."""

    def __init__(self, folder: Path, unit: int) -> None:
        facts = unit_facts(folder, unit)
        self.tar = TarReader(folder / facts.tar) if facts.tar else None
        self.images: dict[str, list[str]] = {}
        for name in self.tar.members if self.tar else ():
            key, _, extension = name.partition(".")
            if extension.endswith(_IMAGE):
                self.images.setdefault(key, []).append(extension.removesuffix(_IMAGE))
        self.arrays: dict[str, ArrayReader] = {}
        for field in facts.arrays:
            reader = ArrayReader(group_path(folder, unit) / field)
            if len(reader.shape) == 4 and reader.shape[3] == 3 and reader.dtype in (np.int16, np.uint8):
                self.arrays[field] = reader
            else:
                reader.close()

    def close(self) -> None:
        if self.tar:
            self.tar.close()
        for reader in self.arrays.values():
            reader.close()


class Gallery:
    """Reads pictures from committed units, a few of which it keeps open.

    An image field is H x W x 3 uint8 RGB. An array field of shape H x W x 3 in int16 is a cue, brought to signed 8-bit levels;
    where a sample has a ``residual`` and no ``reconstruction``, the latter is the image less the residual, bit for bit.

    Args:
        folders: generation by stage, in the order in which samples meet the stages.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = dict(folders)
        self._open: OrderedDict[tuple[str, int], _Unit] = OrderedDict()

    def _unit(self, stage: str, unit: int) -> _Unit:
        key = stage, unit
        if key not in self._open:
            self._open[key] = _Unit(self._folders[stage], unit)
            if len(self._open) > OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return self._open[key]

    def first(self, places: Sequence[Place]) -> NDArray[np.uint8] | None:
        """The first image that any of the rows of one sample has; None where none has one.

        Raises:
            StoreError: a payload is damaged.
        """
        for place in places:
            for field in self._fields(place):
                return self._image(place, field)
        return None

    def all(self, places: Sequence[Place]) -> dict[str, NDArray[Any]]:
        """Every picture of one sample by field, in the order of the stages; a field that two stages made is the first one's.

        Raises:
            StoreError: a payload is damaged.
        """
        found: dict[str, NDArray[Any]] = {}
        for place in places:
            for field in self._fields(place):
                if field not in found:
                    found[field] = self._image(place, field)
            for field, reader in self._unit(place.stage, place.unit).arrays.items():
                if field not in found and reader.has(place.array_index):
                    found[field] = in_levels(reader.read(place.array_index), field)
        return _with_reconstruction(found)

    def _fields(self, place: Place) -> list[str]:
        return self._unit(place.stage, place.unit).images.get(member_key(place.sample_id, place.variant), [])

    def _image(self, place: Place, field: str) -> NDArray[np.uint8]:
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


def _with_reconstruction(found: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    residual = found.get(_RESIDUAL)
    image = next((picture for picture in found.values() if picture.dtype == np.uint8), None)
    if residual is None or image is None or _RECONSTRUCTION in found or residual.shape != image.shape:
        return found
    made = np.clip(image.astype(np.int16) - residual, 0, 255).astype(np.uint8)
    out: dict[str, NDArray[Any]] = {}
    for name, picture in found.items():
        if name == _RESIDUAL:
            out[_RECONSTRUCTION] = made
        out[name] = picture
    return out
