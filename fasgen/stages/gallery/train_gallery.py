"""Live and spoof faces to learn from, and which of them show the same person.

Two kinds enter, together or alone: faces spoofed by the physical simulation, and real crops of a store, paired where data
set, subject and capture device agree (the rule behind DiffFAS's published lists).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from fasgen.errors import SourceError
from fasgen.selection.selection import Selector
from fasgen.stages.gallery.train_simulation import LIVE, SIMULATED, Simulated, simulate_faces
from fasgen.stages.gallery.training_config import GalleryTraining, PairsConfig
from fasgen.training.crops import Crop, list_crops
from fasgen.training.faces import Face, held_out, is_first_rank, list_faces, load_faces
from fasgen.training.residency import Bank, fits, gathered

REPORT = "pairs.json"
HELD = 600
"""Held-out faces that are simulated at most; figures on more would say the same."""


@dataclass
class Gallery:
    """Pictures and what each shows; pictures stay where they are loaded, possibly in mapped files.

    Attributes:
        parts: (n, 3, S, S) uint8 each.
        styles: style key of each picture.
        groups: pictures of one group are alike in style to the last parameter: guides come from the target's group.
        subjects: who it is.
        live: whether it is a live face.
        families: family of the attack; empty where unknown, and of live faces.
        lives: by number of a spoof picture, the live pictures of the same person that it may be made from.
        faces: what the pictures are of, or were simulated from.
        left_out: rows of stores that were not chosen: how many, by why.
    """

    parts: list[Tensor] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    live: list[bool] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    lives: dict[int, list[int]] = field(default_factory=dict)
    faces: list[Face] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.styles)

    def add(
        self,
        images: Tensor,
        styles: Sequence[str],
        groups: Sequence[str],
        subjects: Sequence[str],
        live: bool,
        families: Sequence[str] = (),
    ) -> int:
        """Add pictures and return the number of the first; without ``families`` none is known."""
        first = len(self)
        self.parts.append(images)
        self.styles += styles
        self.groups += groups
        self.subjects += subjects
        self.live += [live] * len(images)
        self.families += families or [""] * len(images)
        return first

    def partners(self) -> dict[str, list[int]]:
        """By style of spoof, the live faces of the same origin: what they were simulated from, or data set and capture device.

        Live and spoof drawn so differ by the attack, and not by the camera. Where an origin has no live face, all are taken.
        """
        lives: dict[str, list[int]] = defaultdict(list)
        for index, (style, live) in enumerate(zip(self.styles, self.live, strict=True)):
            if live:
                lives[_origin(style)].append(index)
        everyone = sorted(index for some in lives.values() for index in some)
        spoofed = {style for style, live in zip(self.styles, self.live, strict=True) if not live}
        return {style: lives.get(_origin(style)) or everyone for style in sorted(spoofed)}

    def exact(self, index: int) -> bool:
        """Whether the live faces of a spoof are what it was made of, pixel by pixel: so it is if it was simulated."""
        return self.styles[index].startswith(SIMULATED)

    def take(self, index: Tensor) -> Tensor:
        """(B,) numbers to (B, 3, S, S) uint8."""
        return gathered(self.parts, index)

    def bank(self, device: torch.device) -> Bank:
        """All pictures for a training on ``device``, there where they fit."""
        return Bank(self.parts, device, fits(self.parts, device))


def _origin(style: str) -> str:
    """``data set|device`` of a style key; simulated spoofs come from where their live faces do."""
    return LIVE if style == LIVE or style.startswith(SIMULATED) else style.rpartition("|")[0]


@dataclass(frozen=True)
class Real:
    """What a store gives: galleries of subjects to train on and of those held out, and who is without a pair.

    Attributes:
        train: pictures of the subjects that are trained on.
        held: pictures of the others.
        unpaired: subject and what it lacks.
    """

    train: list[Crop]
    held: list[Crop]
    unpaired: dict[str, str]


def read_store(config: PairsConfig, rows: Selector) -> Real:
    """The crops of a store that ``rows`` chooses, apart by held-out subjects.

    Raises:
        SourceError: if the store has no crops, or a held-out subject is not in it.
    """
    if config.path is None:
        return Real([], [], {})
    crops = list_crops(config.path, rows)
    absent = set(config.holdout) - {c.face.subject for c in crops}
    if absent:
        raise SourceError(f"pairs.holdout: no subject named {', '.join(sorted(absent))} in {config.path}")

    chosen = config.holdout or held_out({crop.face.subject for crop in crops}, config.holdout_share)

    def held(crop: Crop) -> bool:
        return crop.face.subject in chosen

    return Real([c for c in crops if not held(c)], [c for c in crops if held(c)], unpaired(crops))


def pair_key(crop: Crop) -> tuple[str, str, str]:
    """What live face and spoof must have in common: data set, subject and capture device."""
    return crop.dataset, crop.face.subject, crop.device or "?"


def unpaired(crops: Sequence[Crop]) -> dict[str, str]:
    """Subjects that have a crop without counterpart, and what is missing; nameless crops are counted under one entry."""
    labels: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    nameless = 0
    for crop in crops:
        if crop.known:
            labels[pair_key(crop)].add(crop.label)
        else:
            nameless += 1
    found = {
        " ".join((subject, f"({dataset}, device {device})")): f"no {'live' if 'live' not in have else 'spoof'} crop"
        for (dataset, subject, device), have in sorted(labels.items())
        if len(have) < 2
    }
    if nameless:
        found["(no subject named)"] = f"{nameless} crops that cannot be paired"
    return found


def add_real(gallery: Gallery, crops: Sequence[Crop], size: int, out: Path | None) -> None:
    """Add a store's crops and pair them."""
    if not crops:
        return
    by_key: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    for label in ("live", "spoof"):
        chosen = [c for c in crops if c.label == label]
        if not chosen:
            continue
        images = load_faces([c.face for c in chosen], size, out)
        gallery.faces += [c.face for c in chosen]
        domains = [c.domain for c in chosen]
        subjects, families = [c.face.subject for c in chosen], [c.family for c in chosen]
        first = gallery.add(images, domains, domains, subjects, label == "live", families)
        for index, crop in enumerate(chosen, first):
            if not crop.known:
                continue
            if label == "live":
                by_key[pair_key(crop)].append(index)
            elif pair_key(crop) in by_key:
                gallery.lives[index] = by_key[pair_key(crop)]


def add_simulated(gallery: Gallery, made: Simulated) -> None:
    """Add live faces and what was made of them."""
    names = [LIVE] * len(made.faces)
    first_live = gallery.add(made.faces, names, names, made.subjects, True)
    if not len(made.spoofs):
        return
    subjects = [made.subjects[i] for i in made.parents]
    first = gallery.add(made.spoofs, made.styles, made.groups, subjects, False)
    for index, parent in enumerate(made.parents):
        gallery.lives[first + index] = [first_live + parent]


def paired(gallery: Gallery) -> dict[str, int]:
    """Spoofs that have a live face of the same person."""
    return {"pairs": len(gallery.lives)}


def load_galleries(config: GalleryTraining, facts: Callable[[Gallery], Mapping[str, int]] = paired) -> tuple[Gallery, Gallery]:
    """The pictures to train on and those held out, from live faces, a store, or both; says in ``pairs.json`` what was found.

    Args:
        config: where they come from.
        facts: counts of a gallery that the report adds to its own.

    Raises:
        SourceError: if neither is given, or one is unusable.
    """
    if config.faces.path is None and config.pairs.path is None:
        raise SourceError(
            "neither faces.path nor pairs.path is set; give live faces, faces.path=FOLDER, or pairs, pairs.path=STORE"
        )
    train, held, rows = Gallery(), Gallery(), config.selector()
    size = config.faces.size
    if config.faces.path is not None:
        faces, others = list_faces(config.faces, rows)
        others = others[:: -(-len(others) // HELD) or 1]
        for gallery, some, part in ((train, faces, "train"), (held, others, "held")):
            if some:
                gallery.faces += some
                add_simulated(gallery, simulate_faces(some, size, config.simulation, config.seed, part, config.out))
    real = read_store(config.pairs, rows)
    add_real(train, real.train, size, config.out)
    add_real(held, real.held, size, config.out)
    train.left_out = rows.counted()
    if is_first_rank():
        _report(config.out / REPORT, train, held, real.unpaired, facts)
    return train, held


def counted(train: Gallery, held: Gallery) -> dict[str, int]:
    """What a training on galleries is trained on."""
    live = sum(train.live)
    people = len(set(train.subjects))
    found = {
        "live faces": live,
        "spoofs": len(train) - live,
        "pairs": len(train.lives),
        "people": people,
        "held out": len(held),
    }
    return found | train.left_out


def _report(
    path: Path, train: Gallery, held: Gallery, missing: dict[str, str], facts: Callable[[Gallery], Mapping[str, int]]
) -> None:
    def told(gallery: Gallery) -> dict[str, object]:
        return {
            **facts(gallery),
            "live": sum(gallery.live),
            "spoof": len(gallery) - sum(gallery.live),
            "subjects": len(set(gallery.subjects)),
            "styles": {style: gallery.styles.count(style) for style in sorted(set(gallery.styles))},
        }

    found = {
        "train": told(train),
        "held_out": told(held),
        "rows_left_out": train.left_out,
        "subjects_without_pair": len(missing),
        "unpaired": missing,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
