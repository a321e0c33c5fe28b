"""The quality of what a store made: sets compared by features, nearest photographs of each spoof, BRISQUE by style."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fasgen.audit.query import show
from fasgen.errors import FilterError, SourceError
from fasgen.quality.distances import Figure, compare, nearest
from fasgen.quality.features import Extractor, Floats
from fasgen.quality.pictures import Picture, few, made_pictures, photographs, pixels, reconstructions
from fasgen.selection.selection import Selector

FEWEST = 50
"""Pictures of a set below which a figure says little."""
_NEIGHBOUR = 3
COPY = 0.01
"""Share of photographs that lie nearer to one of another file than the limit below which a spoof is flagged as a copy."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A made set against photographs.

    Attributes:
        made, real: what they are.
        count, real_count: pictures of each.
        figures: ``fid``, ``kid``, ``precision`` and ``recall``.
        warnings: what is to be known of the figures.
    """

    made: str
    real: str
    count: int
    real_count: int
    figures: Mapping[str, Figure]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """The nearest photograph of a spoof, its own live face left out.

    Attributes:
        sample: the spoof.
        style: its style.
        nearest: id of the photograph.
        distance: Euclidean, of features.
        guide: whether it is the spoof's guide.
        copy: whether it is nearer than photographs of different files are to each other, but for one of a hundred.
    """

    sample: str
    style: str
    nearest: str
    distance: float
    guide: bool
    copy: bool


@dataclass(frozen=True, slots=True)
class Brisque:
    """BRISQUE of a data set and style; lower is better.

    Attributes:
        what: photographed, made or reconstructed.
        dataset, style: of the pictures.
        count: pictures.
        mean, sd: points.
    """

    what: str
    dataset: str
    style: str
    count: int
    mean: float
    sd: float


@dataclass(slots=True)
class Quality:
    """What was found.

    Attributes:
        network: whose features.
        features: how many of a picture.
        comparisons: sets against photographs, and live photographs in halves as what can be reached.
        neighbours: of each spoof.
        limit: distance below which a spoof is a copy; None without neighbours.
        brisque: by data set and style.
        notes: what was left out.
    """

    network: str
    features: int = 0
    comparisons: list[Comparison] = field(default_factory=list)
    neighbours: list[Neighbour] = field(default_factory=list)
    limit: float | None = None
    brisque: list[Brisque] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """All of it as JSON; what is no number is null."""
        plain = asdict(self)
        for one in plain["comparisons"]:
            for figure in one["figures"].values():
                figure |= {key: None if np.isnan(value) else value for key, value in figure.items()}
        return plain


def assess(store: Path, extractor: Extractor, selector: Selector, *, limit: int, draws: int, seed: int) -> Quality:
    """Compare what a store made with its photographs.

    Args:
        store: the store.
        extractor: gives features.
        selector: the photographs that count; of what was made, what was made of these alone.
        limit: pictures of a set at most, chosen by hash.
        draws: of the bootstrap.
        seed: of the draws.

    Raises:
        SourceError: nothing was made of the photographs that were chosen.
        StoreError: a manifest or picture is damaged.
        WeightsError: the network does not take the pictures.
    """
    found = Quality(extractor.name)
    chosen = photographs(store, selector)
    known = {one.sample for one in chosen}
    spoofs, lost = made_pictures(store, known)
    kinds = {label: few([one for one in chosen if one.label == label], limit) for label in ("live", "spoof")}
    spoofs = few(spoofs, limit)
    again, images = reconstructions(store, kinds["live"])
    if not spoofs and not again:
        raise SourceError(
            f"{store}: nothing was made of the {len(chosen)} photographs that were chosen: neither spoofs nor reconstructions"
        )
    found.notes += [f"photographs {why}: {count}" for why, count in selector.counted().items()]
    found.notes += [f"left out spoofs that were screened away: {lost}"] if lost else []
    of = {label: extractor(pixels(pictures)) for label, pictures in kinds.items()}
    made = extractor(pixels(spoofs))
    found.features = max(x.shape[1] for x in (*of.values(), made))
    sets = list(_sets(kinds["spoof"], of["spoof"], spoofs, made))
    sets.append(("reconstructions of live faces", "live photographs", extractor(images()), of["live"]))
    half = np.arange(len(of["live"])) % 2 == 0
    sets.append(("live photographs, one half", "the other half", of["live"][half], of["live"][~half]))
    for name, other, ours, theirs in sets:
        if not len(ours):
            continue
        if min(len(ours), len(theirs)) <= _NEIGHBOUR:
            found.notes.append(f"{name}: {len(ours)} against {len(theirs)} pictures are too few to compare")
            continue
        figures = compare(theirs, ours, draws=draws, seed=seed, k=_NEIGHBOUR)
        warnings = tuple(_warnings(len(ours), len(theirs), ours.shape[1]))
        found.comparisons.append(Comparison(name, other, len(ours), len(theirs), figures, warnings))
    everyone = [*kinds["live"], *kinds["spoof"]]
    if spoofs and everyone:
        features = np.concatenate([x for x in of.values() if len(x)])
        found.limit = copy_limit(everyone, features)
        found.neighbours = neighbours(spoofs, made, everyone, features, found.limit)
    found.brisque = brisque(store, known)
    return found


def _sets(
    real: Sequence[Picture], of: Floats, spoofs: Sequence[Picture], made: Floats
) -> Iterator[tuple[str, str, Floats, Floats]]:
    yield "spoofs made", "photographed spoofs", made, of
    for style in sorted({one.style for one in spoofs} & {one.style for one in real}):
        ours, theirs = (np.array([one.style == style for one in some], bool) for some in (spoofs, real))
        yield f"spoofs made, {style}", "photographed, of that style", made[ours], of[theirs]


def _warnings(count: int, real: int, width: int) -> Iterator[str]:
    smaller = min(count, real)
    if smaller < FEWEST:
        yield f"{smaller} pictures say little: give {FEWEST} of each set at least"
    if smaller <= width:
        yield f"FID of {smaller} pictures and {width} features is biased upwards: compare sets of that size alone, or take KID"


def copy_limit(pictures: Sequence[Picture], features: Floats) -> float | None:
    """Distance within which one photograph of a hundred lies to the nearest one of another file; None where there is none."""
    by_file: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(pictures):
        by_file[one.file].append(number)
    _, far = nearest(features, features, [np.array(by_file[one.file]) for one in pictures])
    return float(np.quantile(far[np.isfinite(far)], COPY)) if np.isfinite(far).any() else None


def neighbours(
    spoofs: Sequence[Picture], made: Floats, everyone: Sequence[Picture], features: Floats, limit: float | None
) -> list[Neighbour]:
    """The nearest photograph of each spoof, its own live face left out."""
    places: dict[str, list[int]] = defaultdict(list)
    for number, one in enumerate(everyone):
        places[one.sample].append(number)
    barred = [np.array(places.get(one.parents[0] if one.parents else one.sample, []), np.int64) for one in spoofs]
    rows, far = nearest(made, features, barred)
    return [
        Neighbour(
            one.name,
            one.style,
            everyone[row].sample,
            float(distance),
            everyone[row].sample in one.parents[1:],
            limit is not None and bool(distance < limit),
        )
        for one, row, distance in zip(spoofs, rows.tolist(), far.tolist(), strict=True)
        if row >= 0
    ]


_COLUMNS = ("sample_id", "variant", "dataset", "domain", "brisque", "brisque_reconstruction")


def brisque(store: Path, known: set[str]) -> list[Brisque]:
    """Mean BRISQUE by data set and style, of the stages that measured it; nothing where none did."""
    try:
        rows = show(store, "status = 'ok' and brisque is not null", _COLUMNS, None).to_pylist()
    except FilterError:
        return []
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in rows:
        if row["sample_id"] not in known:
            continue
        dataset, style = row["dataset"] or "", row["domain"] or ""
        values["made" if row["variant"] else "photographed", dataset, style].append(row["brisque"])
        if row["brisque_reconstruction"] is not None:
            values["reconstructed", dataset, style].append(row["brisque_reconstruction"])
    return [
        Brisque(what, dataset, style, len(some), float(np.mean(some)), float(np.std(some)))
        for (what, dataset, style), some in sorted(values.items())
    ]
