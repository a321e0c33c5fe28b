"""Protocols: which samples train, which set thresholds, which are tested."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fasgen.downstream.config import ProtocolConfig
from fasgen.errors import ConfigError
from fasgen.reader import SampleTable
from fasgen.selection.row_sets import RowSet, row_sets


@dataclass(frozen=True, slots=True)
class Fold:
    """One run of a protocol.

    Attributes:
        name: of the protocol and the fold, as tables show it.
        train: photographed and synthetic samples.
        dev: photographed samples held out of training for thresholds; may be empty.
        test: photographed samples.
        left_out: samples that take part on no side: how many, by why.
    """

    name: str
    train: SampleTable
    dev: SampleTable
    test: SampleTable
    left_out: Mapping[str, int] = field(default_factory=dict)


MADE_OF_HELD = "synthetic, made from people or pictures that are held out"


def folds(table: SampleTable, config: ProtocolConfig, store: Path | None = None) -> list[Fold]:
    """The folds of ``table``; samples of unknown label are left out.

    Args:
        table: all samples.
        config: the protocol.
        store: where row sets lie, unless the protocol says it itself.

    Raises:
        ConfigError: a named domain is not there, or a fold has nothing to train on or to test.
        StoreError: a published protocol has no row sets there.
    """
    table = table.take(table.label >= 0)
    domains = table.column(config.by)
    known = sorted(set(domains))
    unknown = sorted({*config.sources, *config.targets} - set(known))
    if unknown:
        raise ConfigError(f"protocol: no {config.by} is called {unknown[0]!r}; there are: {', '.join(known) or 'none'}")
    if config.sources:
        table = table.take(np.isin(domains.astype(str), config.sources))
    if config.name:
        place = config.store or store or Path()
        out = [_checked(_published(table, rows)) for rows in row_sets(place, config.name)]
    else:
        makers = {"leave_one_out": _leave_one_out, "folds": _contiguous, "splits": _splits}
        out = [_checked(fold) for fold in makers[config.kind](table, config)]
    return [fold if len(fold.dev) else _with_dev(fold, config) for fold in out]


def _published(table: SampleTable, rows: RowSet) -> Fold:
    """Sides by sample id; a synthetic sample trains where its live face and the lender of its style do."""
    real = ~table.synthetic
    sides = {side: np.array([(i, 0) in there for i in table.sample_id], bool) for side, there in rows.sides.items()}
    train, held = real & sides["train"], real & (sides["dev"] | sides["test"]) & ~sides["train"]
    lenders = {"", *table.subject[train], *table.sample_id[train]}
    made = table.synthetic & sides["train"] & np.array([style in lenders for style in table.style_subject], bool)
    leaks = table.synthetic & (_leaks(table, held) | (sides["train"] & ~made))
    dev, test = real & sides["dev"], real & sides["test"]
    elsewhere = ~(train | dev | test | table.synthetic) | (table.synthetic & ~sides["train"] & ~leaks)
    out = _told({MADE_OF_HELD: leaks, f"not in {rows.name}": elsewhere})
    return Fold(rows.name, table.take(train | (made & ~leaks)), table.take(dev), table.take(test), out)


def _told(masks: Mapping[str, NDArray[np.bool_]]) -> dict[str, int]:
    """How many, by why, where there are some."""
    return {why: int(mask.sum()) for why, mask in masks.items() if mask.any()}


def _leave_one_out(table: SampleTable, config: ProtocolConfig) -> Iterator[Fold]:
    domains = table.column(config.by)
    known = sorted(set(domains))
    if len(known) < 2:
        raise ConfigError(
            f"protocol: leave_one_out needs two values of {config.by}, there are {len(known)}; take folds or splits"
        )
    for target in known:
        if not config.targets or target in config.targets:
            yield _fold(f"leave out {target}", table, domains == target)


def _contiguous(table: SampleTable, config: ProtocolConfig) -> Iterator[Fold]:
    """Neighbours by path are often one person, so parts are contiguous; a synthetic sample follows its parent."""
    part = np.full(len(table), -1)
    for rows in _cells(table, config.by):
        whole = _wholes(table, rows)
        for number, members in enumerate(np.array_split(np.unique(whole), config.folds)):
            part[rows[np.isin(whole, members)]] = number
    for number in range(config.folds):
        yield _fold(f"fold {number + 1} of {config.folds}", table, part == number)


def _cells(table: SampleTable, by: str) -> Iterator[NDArray[np.int64]]:
    """The photographed samples of each domain and label, in the order of their paths."""
    domains, real = table.column(by), ~table.synthetic
    for domain in sorted(set(domains)):
        for label in (0, 1):
            rows = np.flatnonzero(real & (domains == domain) & (table.label == label))
            order = sorted(rows, key=lambda i: (_natural(str(table.path[i])), table.frame[i], table.sample_id[i]))
            yield np.array(order, np.int64)


def _wholes(table: SampleTable, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is never cut in two, numbered as it comes in ``rows``: a video, or a still that is of none."""
    numbers: dict[tuple[str, str, int], int] = {}
    names = ((table.dataset[i], table.video[i], -1 if table.video[i] else i) for i in rows.tolist())
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _splits(table: SampleTable, config: ProtocolConfig) -> Iterator[Fold]:
    real = ~table.synthetic
    held = real & ((table.split == "dev") | (table.split == "test"))
    leaks = _leaks(table, held) & (table.split == "train")
    train = table.take((table.split == "train") & ~leaks)
    named = np.isin(table.split.astype(str), ("train", "dev", "test"))
    made = table.synthetic & named & (table.split != "train")
    out = _told({MADE_OF_HELD: leaks | made, "of no split": ~named})
    yield Fold("own splits", train, table.take(real & (table.split == "dev")), table.take(real & (table.split == "test")), out)


def _fold(name: str, table: SampleTable, tested: NDArray[np.bool_]) -> Fold:
    """``tested`` may hold synthetic samples too; they are neither tested nor trained on."""
    leaks = ~tested & _leaks(table, tested & ~table.synthetic)
    out = _told({MADE_OF_HELD: leaks, "synthetic, of what is tested": tested & table.synthetic})
    train = table.take(~tested & ~leaks)
    return Fold(name, train, table.take(np.zeros(len(table), bool)), table.take(tested & ~table.synthetic), out)


def _leaks(table: SampleTable, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Synthetic samples made from what is held out: from a picture there, or from or in the style of a subject only there.

    Where a guide has no subject, synth names the guide itself as the lender of the style.
    """
    pictures = {(d, p, f) for d, p, f in zip(table.dataset[held], table.path[held], table.frame[held], strict=True) if p}
    subjects = set(table.subject[held]) - set(table.subject[~held & ~table.synthetic]) - {""}
    lenders = subjects | set(table.sample_id[held])
    made_from = zip(table.dataset, table.path, table.frame, table.subject, table.style_subject, strict=True)
    out = [(d, p, f) in pictures or style in lenders or own in subjects for d, p, f, own, style in made_from]
    return np.array(out, bool) & table.synthetic


def _with_dev(fold: Fold, config: ProtocolConfig) -> Fold:
    if not config.dev_share:
        return fold
    train = fold.train
    chosen = _tails(train, config) if config.dev_from == "tails" else _drawn(train, config.dev_share)
    dev = chosen & ~train.synthetic
    leaks = (chosen & train.synthetic) | (~chosen & _leaks(train, dev))
    out = {**fold.left_out}
    if leaks.any():
        out[MADE_OF_HELD] = out.get(MADE_OF_HELD, 0) + int(leaks.sum())
    return _checked(replace(fold, train=train.take(~chosen & ~leaks), dev=train.take(dev), left_out=out))


def _drawn(table: SampleTable, share: float) -> NDArray[np.bool_]:
    videos = [f"{dataset}/{video}" if video else "" for dataset, video in zip(table.dataset, table.video, strict=True)]
    names = [s or v or i for s, v, i in zip(table.subject, videos, table.sample_id, strict=True)]
    return np.array([_hash(name) < share for name in names], bool)


def _tails(table: SampleTable, config: ProtocolConfig) -> NDArray[np.bool_]:
    """The last share of each domain and label, by path, and never all of it: videos whole where there is more than one."""
    out = np.zeros(len(table), bool)
    for rows in _cells(table, config.by):
        count = min(max(round(len(rows) * config.dev_share), 1), len(rows) - 1)
        if count < 1:
            continue
        whole = _wholes(table, rows)
        tail = whole >= max(whole[len(rows) - count], 1)
        out[rows[tail] if tail.any() else rows[len(rows) - count :]] = True
    return out


def _checked(fold: Fold) -> Fold:
    if set(fold.train.label.tolist()) != {0, 1}:
        raise ConfigError(f"protocol: {fold.name} has no live or no spoof sample to train on")
    if not len(fold.test):
        raise ConfigError(f"protocol: {fold.name} has nothing to test")
    return fold


def _hash(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64


def _natural(path: str) -> list[tuple[int, str]]:
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in re.split(r"(\d+)", path)]
