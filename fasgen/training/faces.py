"""Aligned live faces for training, from a folder of images or from a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.errors import SourceError
from fasgen.training.config import FacesConfig

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})


@dataclass(frozen=True, slots=True)
class Face:
    """One training picture: its file, a name stable over machines, and its subject."""

    path: Path
    name: str
    subject: str


def list_faces(config: FacesConfig) -> tuple[list[Face], list[Face]]:
    """The faces to train on and those held out, each sorted by name.

    Raises:
        SourceError: if there is no folder, no image in it, or a held-out subject is not among them.
    """
    if config.path is None or not config.path.is_dir():
        raise SourceError(f"faces.path: {config.path} is not a folder; give a folder of aligned faces, faces.path=FOLDER")
    root = config.path
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    faces = [Face(p, p.relative_to(root).as_posix(), p.parent.name if p.parent != root else p.stem) for p in files]
    if not faces:
        raise SourceError(f"faces.path: no image in {root} (looked for {', '.join(sorted(SUFFIXES))})")
    unknown = set(config.holdout) - {f.subject for f in faces}
    if unknown:
        raise SourceError(f"faces.holdout: no subject named {', '.join(sorted(unknown))} in {root}")

    def held(face: Face) -> bool:
        if config.holdout:
            return face.subject in config.holdout
        share = int.from_bytes(hashlib.sha256(face.name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
        return share < config.holdout_share

    return [f for f in faces if not held(f)], [f for f in faces if held(f)]


def read_face(face: Face, size: int) -> NDArray[np.uint8]:
    """Size x size x 3 RGB levels.

    Raises:
        SourceError: if the file does not decode; training data is expected to be clean, so it is named, not skipped.
    """
    raw = np.fromfile(face.path, np.uint8)
    image = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if image is None:
        raise SourceError(f"{face.path}: does not decode as an image; remove it from the training folder")
    if image.shape[:2] != (size, size):
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8)


def load_faces(faces: Sequence[Face], size: int) -> Tensor:
    """All faces as one (N, 3, size, size) uint8 tensor."""
    out = torch.empty((len(faces), 3, size, size), dtype=torch.uint8)
    for i, face in enumerate(faces):
        out[i] = torch.from_numpy(read_face(face, size)).permute(2, 0, 1)
    return out


def epochs(count: int, batch: int, seed: int, start: int, rank: int, world: int) -> Iterator[Tensor]:
    """Endless index batches of this rank, shuffled anew each epoch, resumable at any step.

    Args:
        count: items of an epoch.
        batch: items per step over all ranks; divisible by ``world``.
        seed: of the shuffles.
        start: step to resume at; what earlier steps drew is skipped, not drawn again.
        rank: this rank.
        world: number of ranks.

    Yields:
        (batch // world,) int64 indices; every item appears once an epoch, whatever the number of ranks.
    """
    step, share = start, batch // world
    while True:
        first = step * batch
        wanted = np.arange(first, first + batch)
        indices = np.empty(batch, np.int64)
        for epoch in np.unique(wanted // count):
            order = np.random.Generator(np.random.Philox(key=[seed, int(epoch)])).permutation(count)
            inside = wanted // count == epoch
            indices[inside] = order[wanted[inside] % count]
        yield torch.from_numpy(indices[rank * share : (rank + 1) * share])
        step += 1


def as_input(levels: Tensor, flip: Tensor | None = None) -> Tensor:
    """(B, 3, H, W) uint8 to float32 in [-1, 1], mirrored where ``flip`` (B,) is true."""
    x = levels.to(torch.float32) / 127.5 - 1.0
    if flip is not None:
        x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    return x
