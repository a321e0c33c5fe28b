"""Aligned crops of real faces and real attacks, cut by the align stage as it is configured by default, kept in one file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fasgen.errors import SourceError
from fasgen.sources.config import Limits
from fasgen.sources.failure import SampleError
from fasgen.sources.image import decode_image
from fasgen.stages.align.config import AlignConfig
from fasgen.stages.align.stage import Align
from fasgen.stages.stage import Product, Sample

REPLAYS, PHOTOGRAPHS, WEBCAM = "replay_domains", "celeba_spoof_dev", "nuaa"
FOLDS = 5
ONE_PERSON = {"d8": "d1", "d9": "d1", "d10": "d1"}
"""Domains of replays that show the person of another one: they are held out with it."""

KINDS = ("live", "spoof")


@dataclass(frozen=True)
class Picture:
    """One photograph or frame: path below the data folder, whether it is an attack, and the group it is held out with."""

    path: str
    spoof: bool
    group: str


@dataclass(frozen=True)
class Crops:
    """Crops of the pictures in which a face was found.

    Attributes:
        images: (N, H, W, 3) uint8.
        names: (N,) paths below the data folder.
        spoof: (N,) bool.
        groups: (N,) names of domains or folds.
        missed: paths of the other pictures, with the reason.
    """

    images: NDArray[np.uint8]
    names: NDArray[np.str_]
    spoof: NDArray[np.bool_]
    groups: NDArray[np.str_]
    missed: tuple[str, ...]

    def save(self, path: Path, **settings: Any) -> None:
        """Write one npz file, which says by which settings of align they were cut, where these are not the default."""
        path.parent.mkdir(parents=True, exist_ok=True)
        missed, cut = np.array(self.missed, np.str_), _cut(settings)
        np.savez(path, images=self.images, names=self.names, spoof=self.spoof, groups=self.groups, missed=missed, cut=cut)

    @classmethod
    def load(cls, path: Path) -> Crops:
        """Read what ``save`` wrote."""
        with np.load(path, allow_pickle=False) as f:
            return cls(f["images"], f["names"], f["spoof"], f["groups"], tuple(f["missed"].tolist()))

    def only(self, chosen: NDArray[Any]) -> Crops:
        """A selection of them."""
        return Crops(self.images[chosen], self.names[chosen], self.spoof[chosen], self.groups[chosen], self.missed)


def list_replays(data: Path) -> list[Picture]:
    """Frames of the replay domains; a group is a domain, or all that show one person.

    Raises:
        SourceError: there are none.
    """
    root = data / REPLAYS
    return _any(
        [
            Picture(path.relative_to(data).as_posix(), kind == "spoof", ONE_PERSON.get(domain.name, domain.name))
            for domain in sorted(p for p in root.glob("*") if p.is_dir())
            for kind in KINDS
            for path in sorted((domain / kind).glob("*.jpg"))
        ],
        root,
    )


def list_photographs(data: Path) -> list[Picture]:
    """Photographs and attacks; a group is one of five runs of contiguous numbers, as neighbours show the same person.

    Raises:
        SourceError: there are none.
    """
    root = data / PHOTOGRAPHS
    pictures = []
    for kind in KINDS:
        paths = sorted((root / kind).glob("*.jpg"), key=lambda p: (len(p.stem), p.stem))
        for place, path in enumerate(paths):
            group = f"fold {place * FOLDS // len(paths) + 1}"
            pictures.append(Picture(path.relative_to(data).as_posix(), kind == "spoof", group))
    return _any(pictures, root)


def list_webcam(data: Path) -> list[Picture]:
    """Frames of a webcam, of faces and of printed photographs; a group is a person.

    Raises:
        SourceError: there are none.
    """
    root = data / WEBCAM
    return _any(
        [
            Picture(path.relative_to(data).as_posix(), kind == "spoof", path.parent.name)
            for kind in KINDS
            for path in sorted((root / kind).glob("*/*.jpg"))
        ],
        root,
    )


def _any(pictures: list[Picture], root: Path) -> list[Picture]:
    if not pictures:
        raise SourceError(f"--data: no pictures in live and spoof below {root}; name the folder of the data sets")
    return pictures


def align(data: Path, pictures: Sequence[Picture], device: str, told: str, **settings: Any) -> Crops:
    """Decode the pictures, find their faces and cut them.

    Args:
        data: folder that the pictures' paths start from.
        pictures: what to cut.
        device: torch's name of the device.
        told: name under which progress is printed.
        settings: of align, where they are not the default.
    """
    stage = Align(AlignConfig.model_validate(settings), torch.device(device))
    limits = Limits()
    images, kept, missed = [], [], []
    began = time.perf_counter()
    for done, picture in enumerate(pictures, 1):
        try:
            image = decode_image((data / picture.path).read_bytes(), limits)
        except SampleError as error:
            missed.append(f"{picture.path}: {error}")
            continue
        (product,) = stage([Sample(picture.path, 0, 0, images={"image": image})])
        if isinstance(product, Product):
            images.append(product.images["crop"])
            kept.append(picture)
        else:
            missed.append(f"{picture.path}: {product.reason.value}")
        if done % 200 == 0 or done == len(pictures):
            each = (time.perf_counter() - began) / done * 1e3
            print(f"{told}: {done} of {len(pictures)} aligned, {each:.0f} ms each", flush=True)
    if not images:
        raise SourceError(f"{told}: no face in any of {len(pictures)} pictures")
    return Crops(
        np.stack(images),
        np.array([p.path for p in kept]),
        np.array([p.spoof for p in kept]),
        np.array([p.group for p in kept]),
        tuple(missed),
    )


def cut_once(
    path: Path, data: Path, listing: Callable[[Path], list[Picture]], device: str, told: str, **settings: Any
) -> Crops:
    """The crops of a data set, cut where ``path`` does not hold them yet; otherwise as of `align`.

    Raises:
        SourceError: ``path`` holds crops by other settings, which what lies beside them was made of, too.
    """
    if path.exists():
        with np.load(path, allow_pickle=False) as f:
            if "cut" not in f or str(f["cut"]) != _cut(settings):
                raise SourceError(f"--out: {path} was cut by other settings of align than today's; name another folder")
        return Crops.load(path)
    made = align(data, listing(data), device, told, **settings)
    made.save(path, **settings)
    return made


def _cut(settings: Mapping[str, Any]) -> str:
    return AlignConfig.model_validate(settings).model_dump_json()


def counts(values: Iterable[str]) -> dict[str, int]:
    """How often each value occurs, by name."""
    names, numbers = np.unique(np.array(list(values), np.str_), return_counts=True)
    return {str(n): int(c) for n, c in zip(names, numbers, strict=True)}
