"""Aligned live faces for training, from a folder of images or from the crops of a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed as dist

from fasgen.errors import ConfigError, SourceError
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import generations, read_plan
from fasgen.manifests.products import cutter, products, units_of
from fasgen.manifests.unit import manifest_path
from fasgen.manifests.unit_reader import UnitReader
from fasgen.records import Scalar
from fasgen.selection.selection import Selector
from fasgen.training.config import FacesConfig
from fasgen.training.draws import CPU
from fasgen.training.residency import sent

Filled = TypeVar("Filled", bound=NDArray[np.uint8])
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
IN_MEMORY = 1 << 30
"""Bytes above which the faces are kept in a mapped file, which all ranks of a machine share."""
_KEPT = 1
"""Epochs before and after one that are kept as well: batches made ahead may lie in the next."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What the manifest says of a crop.

    Attributes:
        dataset: name of its source.
        subject: subject key, prefixed by the data set; ``None`` where unknown.
        attack_type: presentation attack instrument; ``None`` for live.
        split: train, dev, test or ``None``.
    """

    dataset: str
    subject: str | None
    attack_type: str | None
    split: str | None


@dataclass(frozen=True, slots=True)
class Face:
    """One training picture.

    Attributes:
        path: its file, or the generation in a store that holds it.
        name: stable over machines.
        subject: who it is.
        stored: unit and row in that folder; ``None`` for a file.
        origin: what its manifest says of it; ``None`` for a file.
    """

    path: Path
    name: str
    subject: str
    stored: tuple[int, int] | None = None
    origin: Origin | None = None


def list_faces(config: FacesConfig, rows: Selector | None = None) -> tuple[list[Face], list[Face]]:
    """The faces to train on and those held out, each sorted by name.

    Args:
        config: where they lie, and who is held out.
        rows: chooses the rows of a store, and learns what it left out; ``None`` takes all.

    Raises:
        SourceError: if there is no folder, no image in it, or a held-out subject is not among them.
        ConfigError: rows are chosen of a folder of images.
    """
    if config.path is None or not config.path.is_dir():
        raise SourceError(
            f"faces.path: {config.path} is not a folder; give a folder of aligned faces or a store, faces.path=FOLDER"
        )
    root = config.path
    rows = rows or Selector()
    if generations(root):
        faces = _in_store(root, config, rows)
    elif rows.selection.where or rows.selection.protocol:
        raise ConfigError(
            f"faces.path: {root} is a folder of images: where and protocol choose rows of a store, leave them out"
        )
    else:
        faces = _in_folder(root)
    if not faces:
        raise SourceError(
            f"faces.path: no live face in {root} (a store's live crops, or files {', '.join(sorted(SUFFIXES))})"
            + "".join(f", {count} {why}" for why, count in rows.counted().items())
        )
    unknown = set(config.holdout) - {f.subject for f in faces}
    if unknown:
        raise SourceError(f"faces.holdout: no subject named {', '.join(sorted(unknown))} in {root}")

    chosen = None if config.holdout else held_out((face.name for face in faces), config.holdout_share)

    def held(face: Face) -> bool:
        return face.subject in config.holdout if chosen is None else face.name in chosen

    return [f for f in faces if not held(f)], [f for f in faces if held(f)]


def counted(train: Sequence[Face], held: Sequence[Face]) -> dict[str, int]:
    """What a training on live faces is trained on."""
    return {"live faces": len(train), "people": len({face.subject for face in train}), "held out": len(held)}


_LEAST = 8
_OF = 10
"""At least so many are held out, of ten times as many; of fewer, each tenth."""


def held_out(names: Iterable[str], share: float) -> frozenset[str]:
    """A share of names, by their hashes: a name that is added moves no other, but for the few that there are at least."""
    scores = {
        name: int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
        for name in names
    }
    if not share:
        return frozenset()
    first = sorted(scores, key=lambda name: (scores[name], name))[: min(_LEAST, len(scores) // _OF)]
    return frozenset(first) | {name for name, score in scores.items() if score < share}


def _in_folder(root: Path) -> list[Face]:
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    return [Face(p, p.relative_to(root).as_posix(), p.parent.name if p.parent != root else p.stem) for p in files]


def _in_store(root: Path, config: FacesConfig, rows: Selector) -> list[Face]:
    """Crops of photographs whose label is live: the generator must see real faces only.

    Raises:
        SourceError: a limit is set on a column that the crops' manifests do not have.
    """
    return [
        face_of(made, unit, row)
        for made, unit, row in rows_of_crops(root, rows)
        if row["label"] == "live" and _within(row, config)
    ]


def face_of(folder: Path, unit: int, row: Mapping[str, Scalar]) -> Face:
    """The face of a row of a manifest; its subject is the sample itself where nobody is named."""
    name = str(row["sample_id"])
    subject, attack_type, split = (None if row[key] is None else str(row[key]) for key in ("subject", "attack_type", "split"))
    origin = Origin(str(row["dataset"]), subject, attack_type, split)
    return Face(folder, name, subject or name, (unit, int(str(row["row"]))), origin)


def rows_of_crops(store: Path, rows: Selector) -> Iterator[tuple[Path, int, dict[str, Scalar]]]:
    """Folder, unit and row of the crops that are chosen, in the manifests' order, of what became of the photographs.

    Args:
        store: its current generation that cut them from sources is read.
        rows: chooses among the rows that are ok.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    tables = [(folder, unit, read_table(manifest_path(folder, unit))) for folder, unit in units_of(cutter(store))]
    tables = [(folder, unit, table.filter(pc.equal(table["status"], "ok"))) for folder, unit, table in tables]
    if not tables:
        return
    whole = pa.concat_tables([table.replace_schema_metadata(None) for _, _, table in tables], promote_options="default")
    chosen = rows.keeps(store, whole.column_names, whole.select)
    first = 0
    for folder, unit, table in tables:
        for row in table.filter(pa.array(chosen[first : first + table.num_rows])).to_pylist():
            yield folder, unit, row
        first += table.num_rows


def _within(row: Mapping[str, object], config: FacesConfig) -> bool:
    limits = (("yaw", config.max_yaw), ("pitch", config.max_pitch), ("sharpness", config.min_sharpness))
    for column, limit in limits:
        if limit is None:
            continue
        value = row.get(column)
        if not isinstance(value, float):
            raise SourceError(
                f"faces.path: the store's crops have no {column}: run it again with this version, or set no limit"
            )
        if (value < limit) if column == "sharpness" else (abs(value) > limit):
            return False
    return True


class Faces:
    """Reads faces; the unit read last stays open.

    Args:
        size: side in pixels; other sizes are resized with area averaging.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._unit: tuple[Path, int, UnitReader, str] | None = None

    def read(self, face: Face) -> NDArray[np.uint8]:
        """Size x size x 3 RGB levels.

        Raises:
            SourceError: if the file does not decode; training data is expected to be clean, so it is named, not skipped.
        """
        image = self._stored(face.path, *face.stored) if face.stored else _decode(face.path)
        if image.shape[:2] != (self._size, self._size):
            image = cv2.resize(image, (self._size, self._size), interpolation=cv2.INTER_AREA).astype(np.uint8)
        return image

    def _stored(self, folder: Path, unit: int, row: int) -> NDArray[np.uint8]:
        if self._unit is None or self._unit[:2] != (folder, unit):
            self._unit = (folder, unit, UnitReader(folder, unit), products(read_plan(folder)).picture)
        return self._unit[2].image(row, self._unit[3])


def _decode(path: Path) -> NDArray[np.uint8]:
    raw = np.fromfile(path, np.uint8)
    image = cv2.imdecode(raw, cv2.IMREAD_COLOR) if raw.size else None
    if image is None:
        raise SourceError(f"{path}: does not decode as an image; remove it from the training folder")
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8)


def load_faces(faces: Sequence[Face], size: int, scratch: Path | None = None) -> Tensor:
    """All faces as one (N, 3, size, size) uint8 tensor.

    Args:
        faces: what to read.
        size: side in pixels.
        scratch: folder in which more than `IN_MEMORY` bytes are kept as a mapped file, read again by later runs; ``None``
            keeps them in memory.
    """
    shape = (len(faces), 3, size, size)
    if scratch is None or int(np.prod(shape)) <= IN_MEMORY:
        return torch.from_numpy(_fill(np.empty(shape, np.uint8), faces, size))
    key = hashlib.sha256(
        repr((size, [(f.name, f.stored, str(f.path)) for f in faces])).encode("utf-8", "surrogateescape")
    ).hexdigest()
    path = scratch / f"faces-{key[:16]}.npy"
    if is_first_rank() and not path.exists():
        scratch.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        _fill(np.lib.format.open_memmap(new, "w+", np.uint8, shape), faces, size).flush()
        new.rename(path)
    wait_for_ranks()
    return torch.from_numpy(np.load(path, mmap_mode="r+", allow_pickle=False))


def _fill(out: Filled, faces: Sequence[Face], size: int) -> Filled:
    reader = Faces(size)
    for i, face in enumerate(faces):
        out[i] = reader.read(face).transpose(2, 0, 1)
    return out


def is_first_rank() -> bool:
    """True in the process that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait_for_ranks() -> None:
    """Until every rank is here."""
    if dist.is_initialized():
        dist.barrier()


class Views(NamedTuple):
    """Items to look at, (B,) numbers, and which of them (B,) are mirrored."""

    items: Tensor
    mirrored: Tensor


class Epochs:
    """Items and their mirror coins by step, drawn anew each epoch: a step's follow from the step alone, whichever came before.

    An epoch is drawn once, on the host, and then lies where it is used: steps take slices of it. So items come in the same
    order on every kind of device, and wherever their data lies.

    Args:
        count: items of an epoch.
        batch: items per step over all ranks; divisible by their number.
        seed: of the draws.
        flip: mirror about half of the items.
        device: where the numbers are used.
    """

    def __init__(self, count: int, batch: int, seed: int, flip: bool = False, device: torch.device = CPU) -> None:
        self._count, self._batch, self._seed, self._flip, self._device = count, batch, seed, flip, device
        self._drawn: dict[int, Views] = {}

    def at(self, step: int, rank: int, world: int) -> Views:
        """The (batch // world,) of a rank; every item appears once an epoch, whatever the number of ranks."""
        share = self._batch // world
        place, pieces = step * self._batch + rank * share, []
        while share:
            epoch, first = divmod(place, self._count)
            piece = Views(*(values[first : first + share] for values in self._epoch(epoch)))
            pieces.append(piece)
            place, share = place + len(piece.items), share - len(piece.items)
        return pieces[0] if len(pieces) == 1 else Views(*map(torch.cat, zip(*pieces, strict=True)))

    def _epoch(self, epoch: int) -> Views:
        # Threads that make batches ahead may both find an epoch missing; each then draws the same.
        drawn = self._drawn
        if epoch not in drawn:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
            order, mirrored = random.permutation(self._count), random.random(self._count) < 0.5 * self._flip
            views = Views(*(sent(torch.from_numpy(values), self._device) for values in (order, mirrored)))
            self._drawn = drawn = {e: v for e, v in drawn.items() if abs(e - epoch) <= _KEPT} | {epoch: views}
        return drawn[epoch]


def as_input(levels: Tensor, flip: Tensor | None = None) -> Tensor:
    """(B, 3, H, W) uint8 to float32 in [-1, 1], mirrored where ``flip`` (B,) is true."""
    x = levels.to(torch.float32) / 127.5 - 1.0
    if flip is not None:
        x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    return x
