"""Pictures for the report: thumbnails on JPEG plates, and strips of all pictures of the samples worth a closer look."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fasgen.audit.report.pictures import Gallery
from fasgen.audit.report.samples import Samples, worst_first
from fasgen.errors import StoreError
from fasgen.manifests.images import RGB

ACROSS = 16
"""Thumbnails along each side of a plate."""

SIDES = (96, 80, 64, 56, 48, 40)
"""Sides of thumbnails in px, from which the largest that fits is taken."""

CELL = 144
"""Side of a strip's pictures in px."""

EXAMPLES = 12
"""Rejects of one stage and reason that get a closer look."""

EXTREMES = 16
"""Samples at either end of each score that get one."""

_EVENLY = 120
_QUALITY, _STRIP_QUALITY = 66, 76
_TRIAL = 192
_STRIPS_SHARE = 0.3
_PAPER = 128

Originals = Callable[[str, str], RGB | None]
"""From data set and sample id to the source's own picture, or None where it cannot be had."""


@dataclass
class Pictures:
    """What of a store's pictures goes into the report.

    Attributes:
        side: side of a thumbnail in px.
        plates: base64 of JPEGs, ``ACROSS`` x ``ACROSS`` thumbnails each.
        thumb: by sample its thumbnail's number over all plates, -1 for none (int32).
        strips: base64 of JPEGs, pictures ``CELL`` px wide side by side.
        names: by strip the names of its pictures.
        strip: by sample its strip's number, -1 for none (int32).
        unreadable: samples whose pictures could not be read.
    """

    side: int
    thumb: NDArray[np.int32]
    strip: NDArray[np.int32]
    plates: list[str] = field(default_factory=list)
    strips: list[str] = field(default_factory=list)
    names: list[list[str]] = field(default_factory=list)
    unreadable: int = 0

    @property
    def bytes(self) -> int:
        """Bytes that the pictures take in the page."""
        return sum(map(len, self.plates)) + sum(map(len, self.strips))


def illustrate(samples: Samples, budget: int, originals: Originals | None = None) -> Pictures:
    """Read the pictures and make them small.

    First come strips: examples of rejects, both ends of every score with the samples these were made from and those made from
    them, then samples taken evenly. They take a third of the budget at most. Then thumbnails, as large as lets all have one;
    where none of ``SIDES`` does, samples taken evenly have one and the rest have none.

    Args:
        samples: the samples.
        budget: bytes of base64 at most.
        originals: finds source pictures, for samples that have no other.
    """
    pictures = Pictures(SIDES[0], np.full(len(samples), -1, np.int32), np.full(len(samples), -1, np.int32))
    if budget <= 0:
        return pictures
    with Gallery({stage.stage: stage.folder for stage in samples.stages}) as gallery:
        _strips(samples, gallery, pictures, int(budget * _STRIPS_SHARE), originals)
        _thumbs(samples, gallery, pictures, budget)
    return pictures


def chosen(samples: Samples) -> list[int]:
    """Samples worth a strip, the most wanted first, each once."""
    order: dict[int, None] = {}
    children: dict[int, list[int]] = {}
    for child, parents in enumerate(samples.parents):
        for parent in parents:
            children.setdefault(parent, []).append(child)
    taken: dict[tuple[int, str], int] = {}
    for sample, stage, reason, _ in samples.rejects():
        taken[stage, reason] = taken.get((stage, reason), 0) + 1
        if taken[stage, reason] <= EXAMPLES:
            order.setdefault(sample)
    ranked = [worst_first(score) for score in samples.scores]
    for place in range(EXTREMES):
        for rank in ranked:
            for sample in dict.fromkeys(rank[place : place + 1] + rank[len(rank) - 1 - place :][:1]):
                for one in (sample, *samples.parents[sample][:2], *children.get(sample, ())[:4]):
                    order.setdefault(one)
    step = max(1, len(samples) // _EVENLY)
    for sample in range(0, len(samples), step):
        order.setdefault(sample)
    return list(order)


def _strips(samples: Samples, gallery: Gallery, pictures: Pictures, budget: int, originals: Originals | None) -> None:
    wanted, spent = chosen(samples), 0
    # In portions: the most wanted come first, and inside a portion the order of the units spares opening tars again.
    for start in range(0, len(wanted), 256):
        for sample in sorted(wanted[start : start + 256]):
            found = _all(samples, gallery, pictures, sample, originals)
            if not found:
                continue
            data = _jpeg(_row([_square(picture, CELL) for picture in found.values()]), _STRIP_QUALITY)
            if spent + len(data) > budget:
                return
            spent += len(data)
            pictures.strip[sample] = len(pictures.strips)
            pictures.strips.append(data)
            pictures.names.append(list(found))


def _all(samples: Samples, gallery: Gallery, pictures: Pictures, sample: int, originals: Originals | None) -> dict[str, RGB]:
    try:
        found = gallery.all(samples.places(sample))
    except StoreError:
        # A damaged payload is for verify to name; the report shows all the others.
        pictures.unreadable += 1
        return {}
    if not found and originals:
        picture = originals(samples.facets["dataset"][sample] or "", samples.ids[sample])
        return {} if picture is None else {"source": picture}
    return found


def _thumbs(samples: Samples, gallery: Gallery, pictures: Pictures, budget: int) -> None:
    left = budget - pictures.bytes
    there = np.nonzero([bool(samples.rows[0][number] >= 0 or samples.parents[number]) for number in range(len(samples))])[0]
    trial = [image for number in _evenly(there, _TRIAL) if (image := _one(samples, gallery, pictures, int(number))) is not None]
    pictures.unreadable = 0
    if not trial:
        return
    sizes = {side: _cost(trial, side) for side in SIDES}
    pictures.side = next((side for side in SIDES if sizes[side] * len(there) * 1.05 <= left), SIDES[-1])
    fits = int(left / (sizes[pictures.side] * 1.05))
    plate: list[RGB] = []
    numbers: list[int] = []
    for number in _evenly(there, fits):
        image = _one(samples, gallery, pictures, int(number))
        if image is None:
            continue
        plate.append(_square(image, pictures.side))
        numbers.append(int(number))
        if len(plate) == ACROSS * ACROSS and not _close(pictures, plate, numbers, budget):
            return
    if plate:
        _close(pictures, plate, numbers, budget)


def _close(pictures: Pictures, plate: list[RGB], numbers: list[int], budget: int) -> bool:
    """Add the plate; False, and nothing added, where it does not fit any more."""
    data = _jpeg(_plate(plate), _QUALITY)
    if pictures.bytes + len(data) > budget:
        return False
    pictures.thumb[numbers] = len(pictures.plates) * ACROSS * ACROSS + np.arange(len(numbers))
    pictures.plates.append(data)
    plate.clear()
    numbers.clear()
    return True


def _one(samples: Samples, gallery: Gallery, pictures: Pictures, number: int) -> RGB | None:
    try:
        return gallery.first(samples.places(number))
    except StoreError:
        pictures.unreadable += 1
        return None


def _cost(trial: Sequence[RGB], side: int) -> float:
    """Bytes of base64 that one thumbnail takes."""
    whole = [trial[number % len(trial)] for number in range(ACROSS * ACROSS)]
    return len(_jpeg(_plate([_square(image, side) for image in whole]), _QUALITY)) / len(whole)


def _evenly(numbers: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if count >= len(numbers):
        return numbers
    return numbers[np.linspace(0, len(numbers) - 1, max(0, count)).round().astype(np.int64)]


def _square(image: RGB, side: int) -> RGB:
    """The picture inside a grey square."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    out: RGB = np.full((side, side, 3), _PAPER, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    out[top : top + size[1], left : left + size[0]] = small
    return out


def _row(cells: Sequence[RGB]) -> RGB:
    return np.hstack(cells)


def _plate(cells: Sequence[RGB]) -> RGB:
    side = cells[0].shape[0]
    down = -(-len(cells) // ACROSS)
    out: RGB = np.full((down * side, ACROSS * side, 3), _PAPER, np.uint8)
    for number, cell in enumerate(cells):
        top, left = number // ACROSS * side, number % ACROSS * side
        out[top : top + side, left : left + side] = cell
    return out


def _jpeg(image: RGB, quality: int) -> str:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    )
    if not done:
        raise StoreError(f"a picture of {image.shape} could not be encoded as JPEG")
    return base64.b64encode(data.tobytes()).decode("ascii")
