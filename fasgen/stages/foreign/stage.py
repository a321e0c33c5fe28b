"""Foreign: the file of each photograph, compared with the digest that was noted, as a cue."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fasgen.errors import StoreError
from fasgen.records import Reason
from fasgen.stages.foreign.config import FILES, ROOT, ForeignConfig, Origin, digest_of, names, read_origin
from fasgen.stages.foreign.reading import fit, read_array
from fasgen.stages.stage import RGB, Product, Reject, Sample

if TYPE_CHECKING:
    import torch


class Attached:
    """The files of one cue.

    Args:
        folder: where it was noted.

    Raises:
        StoreError: the note or the list of files is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.origin: Origin = read_origin(folder)
        path = folder / FILES
        try:
            self._files: dict[str, list[str]] = json.loads(path.read_bytes())
            if digest_of(self._files) != self.origin.files:
                raise ValueError("not what was written")
            self._root = Path((folder / ROOT).read_text("utf-8", "surrogateescape").removesuffix("\n"))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StoreError(f"{path}: cannot be read ({error}): give `fasgen attach` again") from None

    def of(self, sample_id: str, crop: RGB) -> NDArray[Any] | Reject:
        """The cue of a sample, H x W x C, or why it has none."""
        name = self.origin.name
        if sample_id not in self._files:
            return Reject(Reason.NO_CUE, f"no file of {name} is of this photograph")
        file, digest = self._files[sample_id]
        try:
            data = (self._root / file).read_bytes()
        except OSError as error:
            return Reject(Reason.UNREADABLE, f"{name}: {file} cannot be read ({error.strerror})")
        if hashlib.sha256(data).hexdigest() != digest:
            return Reject(Reason.CORRUPT, f"{name}: {file} has changed since it was attached: give `fasgen attach` again")
        try:
            array = read_array(data, Path(file).suffix)
            fit(array, crop.shape[0], reconstruction=bool(self.origin.leaves))
        except ValueError as error:
            return Reject(Reason.CORRUPT, f"{name}: {file} {error}")
        return crop.astype(np.int16) - array if self.origin.leaves else array


class Foreign:
    """Maps each photograph to the cues that were made of it elsewhere."""

    def __init__(self, config: ForeignConfig) -> None:
        folder = config.folder or Path()
        self._cues = [Attached(folder / name) for name in names(config)]

    def __call__(self, batch: Sequence[Sample]) -> list[Product | Reject]:
        """Read up to ``config.batch`` samples, with ``crop`` in ``images``."""
        return [self._one(sample) for sample in batch]

    def _one(self, sample: Sample) -> Product | Reject:
        arrays: dict[str, NDArray[Any]] = {}
        for one in self._cues:
            found = one.of(sample.sample_id, sample.images["crop"])
            if isinstance(found, Reject):
                return found
            arrays[one.origin.name] = found
        return Product(arrays=arrays)


def build(config: ForeignConfig, device: torch.device) -> Foreign:
    """Build the stage; it runs on the CPU whatever ``device`` is."""
    return Foreign(config)
