"""Three data sets against each other: what each cue and each kind of synthetic spoof brings a head on frozen features.

    python examples/experiments/sets.py [--out out/sets/tables] [--seeds 5] [--store out/sets]

Features are EfficientNet-Lite0's of ImageNet (224 px, mean over space), taken once of every image and cue; a method is a linear
head on some of them. A head learns by batches that its seed draws, one to one over domain and label, so that a gain stands
beside the spread over seeds. Two protocols: one set out, trained on the other two; and pairs, trained on one and tested on
another. The last fifth of each training set and label by path is dev: it sets threshold and step of the realistic figures.
Scores go where `document.py` finds them, a file a method; a method whose file is there is not trained again.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from fasgen.downstream.backbones import imagenet_network
from fasgen.downstream.config import ProtocolConfig
from fasgen.downstream.protocols import Fold, folds
from fasgen.downstream.scores import Score, write_scores
from fasgen.reader import FasIndex, SampleDecoder, SampleTable, collate

SIDE, BATCH, DEVIATION = 224, 16, 48.0 / 128.0
"""A standardised cue is shown around grey; one deviation becomes 48 levels, about what a photograph has."""

STEPS, FACES, LOOKS, RATE, DECAY = 200, 64, 5, 1e-3, 0.1
IMAGE = "image"
DIFFFAS = ("difffas-webcam", "difffas-photographs", "difffas-replay")
METHODS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "image": ((IMAGE,), ()),
    "residual": (("residual",), ()),
    "LGSC map": (("lgsc",), ()),
    "traces": (("stdn",), ()),
    "image and residual": ((IMAGE, "residual"), ()),
    "image and LGSC map": ((IMAGE, "lgsc"), ()),
    "image and traces": ((IMAGE, "stdn"), ()),
    "image and all three": ((IMAGE, "residual", "lgsc", "stdn"), ()),
    "image, half of the spoofs simulated": ((IMAGE,), ("physical",)),
    "image, half of the spoofs by DiffFAS": ((IMAGE,), DIFFFAS),
    "image, half of the spoofs by both": ((IMAGE,), ("physical", *DIFFFAS)),
}
"""Inputs of the head, and the stores whose synthetic spoofs take half of a batch's places for spoofs."""

Key = tuple[str, int]
Features = Mapping[Key, NDArray[np.float32]]


def features(shards: Path, name: str, keep: Path, *, synthetic: bool = False) -> Features:
    """Features (1280,) of the image or a cue of all photographs of a delivery, or of what was made, by sample and variant."""
    path = keep / f"features-{shards.resolve().name}-{name}{'-synthetic' if synthetic else ''}.npz"
    if not path.exists():
        cues = () if name == IMAGE else (name,)
        index = FasIndex(shards, SampleDecoder(cues, cue_scale="standardised", size=(SIDE, SIDE)))
        wanted = np.flatnonzero(SampleTable.of(index).synthetic == synthetic).tolist()
        network = imagenet_network().eval().to(memory_format=torch.channels_last)
        keys: list[Key] = []
        rows: list[torch.Tensor] = []
        with torch.inference_mode():
            for first in range(0, len(wanted), BATCH):
                samples = [index[number] for number in wanted[first : first + BATCH]]
                x = collate(samples)[name]
                x = x if name == IMAGE else (DEVIATION * x).clamp(-1, 1)
                rows.append(network(x.contiguous(memory_format=torch.channels_last)))
                keys += [(str(one["meta"]["sample_id"]), _variant(one["meta"])) for one in samples]
        path.parent.mkdir(parents=True, exist_ok=True)
        ids, variants = zip(*keys, strict=True)
        np.savez(path, ids=np.array(ids), variants=np.array(variants), features=torch.cat(rows).numpy())
    with np.load(path) as file:
        return {(str(i), int(v)): row for i, v, row in zip(file["ids"], file["variants"], file["features"], strict=True)}


def _variant(meta: Mapping[str, object]) -> int:
    made = meta.get("synthesis")
    return int(made.get("variant") or 0) if isinstance(made, Mapping) else 0


def cuts(table: SampleTable) -> Iterator[Fold]:
    """One set out, then pairs of sets; synthetic spoofs train where all that they are made of does."""
    names = sorted(set(table.dataset.tolist()))
    common = {"dev_share": 0.2, "dev_from": "tails"}
    for name in names:
        [fold] = folds(table, ProtocolConfig.model_validate({**common, "targets": (name,)}))
        yield Fold(f"one set out/{name}", fold.train, fold.dev, fold.test, fold.left_out)
    for source, goal in permutations(names, 2):
        [fold] = folds(table, ProtocolConfig.model_validate({**common, "sources": (source, goal), "targets": (goal,)}))
        yield Fold(f"pairs of sets/{source} to {goal}", fold.train, fold.dev, fold.test, fold.left_out)


def matrix(table: SampleTable, inputs: Sequence[Features]) -> torch.Tensor:
    """(N, F) of the samples of a table."""
    keys = list(zip(table.sample_id.tolist(), table.variant.tolist(), strict=True))
    return torch.from_numpy(np.stack([np.concatenate([one[key] for one in inputs]) for key in keys]))


def cells(table: SampleTable) -> list[list[torch.Tensor]]:
    """Of each set and label the rows, of spoofs those of photographed ones and of synthetic ones, where there are some."""
    found = []
    for name in sorted(set(table.dataset.tolist())):
        of_set = table.dataset == name
        spoofs = [of_set & (table.label == 0) & made for made in (~table.synthetic, table.synthetic)]
        found += [[of_set & (table.label == 1)], spoofs]
    return [[torch.from_numpy(np.flatnonzero(mask)) for mask in cell if mask.any()] for cell in found]


def drawn(found: Sequence[Sequence[torch.Tensor]], generator: torch.Generator) -> torch.Tensor:
    """Rows of one batch: as many of each cell, and in it of each kind."""
    rows = []
    for cell in found:
        each = FACES // len(found) // max(len(cell), 1)
        rows += [one[torch.randint(len(one), (each,), generator=generator)] for one in cell]
    return torch.cat(rows)


def head(fold: Fold, inputs: Sequence[Features], name: str, seed: int) -> list[Score]:
    """Train a head, and score dev and target at every look."""
    digest = hashlib.sha256(f"{fold.name}/{seed}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    x, y = matrix(fold.train, inputs), torch.from_numpy(fold.train.label).float()
    mean, std = x.mean(0), x.std(0).clamp(min=1e-3)
    weight = nn.Parameter(torch.randn(x.shape[1], generator=generator) * x.shape[1] ** -0.5 * 0.1)
    bias = nn.Parameter(torch.zeros(()))
    x = (x - mean) / std
    sides = {side: (table, (matrix(table, inputs) - mean) / std) for side, table in (("dev", fold.dev), ("test", fold.test))}
    optimiser = torch.optim.AdamW([weight, bias], lr=RATE, weight_decay=DECAY)
    found: list[Score] = []
    kinds = cells(fold.train)
    for step in range(1, STEPS + 1):
        rows = drawn(kinds, generator)
        loss = F.binary_cross_entropy_with_logits(x[rows] @ weight + bias, y[rows])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % (STEPS // LOOKS) == 0:
            with torch.no_grad():
                for side, (table, some) in sides.items():
                    found += scored(table, (some @ weight + bias).sigmoid().tolist(), side, name, fold.name, seed, step)
    return found


def scored(
    table: SampleTable, values: Sequence[float], side: str, name: str, protocol: str, seed: int, step: int
) -> Iterator[Score]:
    """Rows as `fasgen eval` reads them."""
    columns = (table.sample_id, table.label, table.attack_type, table.dataset, table.subject)
    for value, sample, label, attack, dataset, subject in zip(values, *(c.tolist() for c in columns), strict=True):
        yield Score(sample, int(label), value, "", attack, side, dataset, name, protocol, str(seed), subject, str(step))


def main(arguments: Sequence[str] | None = None) -> None:
    """Every method over all cuts and seeds."""
    root = Path(__file__).resolve().parents[2] / "out" / "sets"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--store", type=Path, default=root, help="folder with the packs cues, physical and difffas-*")
    parser.add_argument("--out", type=Path, default=root / "tables", help="folder of features and scores")
    parser.add_argument("--seeds", type=int, default=5)
    told = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name, (cues, made) in METHODS.items():
        path = told.out / f"{[*METHODS].index(name):02d} {name}.parquet"
        lacking = [store for store in made if not (told.store / store).exists()]
        if lacking:
            print(f"{name}: there is no {told.store / lacking[0]}; left out", file=sys.stderr)
        if lacking or path.exists():
            continue
        inputs = [features(told.store / "cues", cue, told.out) for cue in cues]
        table = SampleTable.of(FasIndex(told.store / "cues"))
        if made:
            table, inputs = with_synthetic(table, inputs, [told.store / store for store in made], told.out)
        rows = [row for fold in cuts(table) for seed in range(told.seeds) for row in head(fold, inputs, name, seed)]
        write_scores(path, rows)
        print(f"{name}: {len(rows):,} scores", file=sys.stderr)


def with_synthetic(
    table: SampleTable, inputs: Sequence[Features], stores: Sequence[Path], keep: Path
) -> tuple[SampleTable, list[Features]]:
    """The synthetic spoofs of some deliveries beside all photographs, told apart by variants of their own."""
    tables, found = [table], dict(inputs[0])
    for number, store in enumerate(stores):
        more, seen = SampleTable.of(FasIndex(store)), features(store, IMAGE, keep, synthetic=True)
        more = more.take(more.synthetic)
        moved = more.variant + 100 * number
        found |= {
            (sample, int(new)): seen[sample, int(old)]
            for sample, old, new in zip(more.sample_id.tolist(), more.variant.tolist(), moved.tolist(), strict=True)
        }
        tables.append(_replaced(more, moved))
    names = SampleTable.__slots__
    return SampleTable(*(np.concatenate([getattr(one, name) for one in tables]) for name in names)), [found]


def _replaced(table: SampleTable, variant: NDArray[np.int64]) -> SampleTable:
    values = {name: getattr(table, name) for name in SampleTable.__slots__}
    return SampleTable(**{**values, "variant": variant})


if __name__ == "__main__":
    main()
