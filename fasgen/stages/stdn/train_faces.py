"""Batches for STDN+: live faces, spoofs of any people, and what their landmarks say."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.errors import ConfigError, SourceError
from fasgen.stages.align.config import AlignConfig
from fasgen.stages.align.stage import detector
from fasgen.stages.align.template import TEMPLATES, target
from fasgen.stages.facemesh.finder import FaceMesh
from fasgen.stages.gallery.train_gallery import Gallery
from fasgen.stages.stdn.geometry import mirrored, pseudo_depth, region_of, untouched
from fasgen.stages.stdn.training_config import Source
from fasgen.stages.stdn.warp import FIVE, offsets
from fasgen.training.draws import CPU
from fasgen.training.residency import sent

Points = NDArray[np.float64]

_AT_ONCE = 8
"""Pictures that are looked at in one call; always as many, so that a mesh does not hang on what was known before."""


class Batch(NamedTuple):
    """What one step learns from; N is half of the batch. Images are in [0, 1].

    Attributes:
        live: I_j, (N, 3, S, S).
        spoof: I_i, (N, 3, S, S), of any people.
        offset: (N, 2, S, S), where each pixel of the live face's geometry reads in the spoof.
        depth: M0 of the live faces, (N, 1, 32, 32).
        untouched: P0 of the spoofs, (N, 1, S, S).
        additive: (N,) true for attacks that replace nothing.
        parent: (N, 3, S, S), the live face that the spoof was made of or shows, mirrored with it.
        has_parent: (N,) where it was made of it, pixel by pixel.
        dense: (2 N,) whose landmarks are a mesh; live faces, then spoofs.
    """

    live: Tensor
    spoof: Tensor
    offset: Tensor
    depth: Tensor
    untouched: Tensor
    additive: Tensor
    parent: Tensor
    has_parent: Tensor
    dense: Tensor


class Landmarks:
    """Landmarks of each picture of a gallery, found when they are first asked for.

    A mesh is looked for where the template has the face. Where the network sees none there, and where none is wanted, align's
    RetinaFace looks for five points; where it finds no face either, the template stands in.

    Args:
        template: name; its points stand for faces that are not found.
        size: of the crops, px.
        source: what is looked for.
        device: where meshes are found.

    Raises:
        ConfigError: no such template.
    """

    def __init__(self, template: str, size: int, source: Source, device: torch.device = CPU) -> None:
        if template not in TEMPLATES:
            raise ConfigError(f"template: no template {template!r}; known are {', '.join(TEMPLATES)}")
        self._template, self._device = target(template, size), device
        self._look = None if source == "template" else detector(AlignConfig.model_validate({}), CPU)
        self._mesh = FaceMesh(device) if source == "dense" else None
        self._known: dict[int, NDArray[np.float32]] = {}

    def of(self, numbers: Sequence[int], pictures: Callable[[Tensor], Tensor]) -> list[Points]:
        """A mesh (468, 3) or five points (5, 2), in px, of each picture.

        Args:
            numbers: of the pictures.
            pictures: gives those of some numbers, (N, 3, S, S) uint8; asked only for what has not been looked at.
        """
        if self._look is None:
            return [self._template] * len(numbers)
        new = sorted({number for number in numbers if number not in self._known})
        for first in range(0, len(new), _AT_ONCE):
            some = new[first : first + _AT_ONCE]
            levels = pictures(torch.tensor(some))
            for number, picture, mesh in zip(some, levels, self._meshes(levels), strict=False):
                self._known[number] = (self._detected(picture) if mesh is None else mesh).astype(np.float32)
        return [self._known[number].astype(np.float64) for number in numbers]

    def _meshes(self, levels: Tensor) -> list[Points | None]:
        if self._mesh is None:
            return [None] * len(levels)
        slots = torch.zeros(_AT_ONCE, *levels.shape[1:], dtype=levels.dtype)
        slots[: len(levels)] = levels
        where = [self._template if slot < len(levels) else None for slot in range(_AT_ONCE)]
        return self._mesh(sent(slots, self._device).to(torch.float32) / 255, where)

    def _detected(self, levels: Tensor) -> Points:
        assert self._look is not None
        faces = self._look(np.ascontiguousarray(levels.permute(1, 2, 0).numpy()))
        found = faces.landmarks[faces.largest()].astype(np.float64) if len(faces) else self._template
        # Another face at the border of a crop is not the one that it was cut for.
        far = np.abs(found - self._template).max() > 0.25 * levels.shape[-1]
        return self._template if far else found


class Draws:
    """Draws batches out of a gallery.

    Args:
        gallery: pictures.
        landmarks: of them.
        device: where batches go.

    Raises:
        SourceError: if there is no live face, or no spoof.
    """

    def __init__(self, gallery: Gallery, landmarks: Landmarks, device: torch.device = CPU) -> None:
        self.gallery, self.landmarks, self._device = gallery, landmarks, device
        self._bank = gallery.bank(device)
        self.live = [i for i, live in enumerate(gallery.live) if live]
        by_style: dict[str, list[int]] = defaultdict(list)
        for index, style in enumerate(gallery.styles):
            if not gallery.live[index]:
                by_style[style].append(index)
        self.spoofs = [by_style[style] for style in sorted(by_style)]
        self._partners = gallery.partners()
        if not self.live or not self.spoofs:
            missing = "live face" if not self.live else "spoof"
            raise SourceError(
                f"no {missing} to learn from; simulate spoofs of live faces (faces.path, simulation.renders), or give a store "
                f"with both (pairs.path)"
            )

    def spoof(self, coin: torch.Generator) -> int:
        """A spoof, every style as likely as every other."""
        style = self.spoofs[_below(len(self.spoofs), coin)]
        return style[_below(len(style), coin)]

    def partner(self, spoof: int, live: int, coin: torch.Generator) -> int:
        """A live face of the spoof's origin: ``live`` where it is one, else any."""
        gallery = self.gallery
        alike = self._partners[gallery.styles[spoof]]
        place = bisect_left(alike, live)
        other = alike[_below(len(alike), coin)]
        return live if place < len(alike) and alike[place] == live else other

    def batch(self, live: list[int], spoof: list[int], flip: NDArray[np.bool_], coin: torch.Generator) -> Batch:
        """The batch of these pictures.

        Args:
            live: numbers of live faces, N.
            spoof: numbers of spoofs, N.
            flip: (2, N), which of them are mirrored.
            coin: draws the parent of a spoof that shows somebody of several live faces.
        """
        gallery = self.gallery
        parents = [gallery.lives.get(index, []) for index in spoof]
        chosen = [lives[_below(len(lives), coin)] if lives else live[0] for lives in parents]
        size = gallery.parts[0].shape[-1]
        known = [bool(lives) and gallery.exact(index) for lives, index in zip(parents, spoof, strict=True)]
        # What was simulated from a face has its landmarks, however little of it is seen.
        shown = [face if same else index for face, same, index in zip(chosen, known, spoof, strict=True)]
        found = self.landmarks.of([*live, *shown], gallery.take)
        turned = [
            mirrored(points, size) if mirror else points for points, mirror in zip(found, flip.ravel().tolist(), strict=True)
        ]
        points = [turned[: len(live)], turned[len(live) :]]
        regions = [region_of(gallery.styles[index].rpartition("|")[2], gallery.families[index]) for index in spoof]
        depth = np.stack([pseudo_depth(p, size, size) for p in points[0]])
        masks = np.stack([untouched(region, p, size, size) for region, p in zip(regions, points[1], strict=True)])
        sides = self._sent(torch.from_numpy(flip))
        pictures = [
            _unit(self._bank.take(torch.tensor(numbers)), sides[min(k, 1)]) for k, numbers in enumerate((live, spoof, chosen))
        ]
        return Batch(
            pictures[0],
            pictures[1],
            self._sent(offsets(points[1], points[0], size, size)),
            self._sent(torch.from_numpy(depth)[:, None]),
            self._sent(torch.from_numpy(masks)[:, None]),
            self._sent(torch.tensor([region == "whole" for region in regions])),
            pictures[2],
            self._sent(torch.tensor(known)),
            self._sent(torch.tensor([len(points) != FIVE for points in found])),
        )

    def _sent(self, x: Tensor) -> Tensor:
        return sent(x, self._device)


def _unit(levels: Tensor, flip: Tensor) -> Tensor:
    x = levels.to(torch.float32) / 255
    return torch.where(flip[:, None, None, None], x.flip(-1), x)


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (), generator=generator))
