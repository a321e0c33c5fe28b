"""The style plan: which live face becomes a spoof of which style, and which picture shows that style (its guide).

Everything is derived from the manifests. A style is a data set, an attack type and a capture device (DiffFAS); simulated styles
stand beside them or in their place, and one that the weights were not trained on is left out. Guide and face are of different
people where people are known, and of one split, so that no person crosses from training to test: what has no split counts as
training material, so that it lends guides to ``train`` and borrows them from there, and never meets ``dev`` or ``test``.

Who meets whom is a function of the sets of faces and pictures alone, in whatever order they came: every candidate has a score
that hangs on the seed, the face, the variant and itself, and the highest wins (rendezvous hashing: Thaler and Ravishankar 1998,
"Using name-based mappings to increase hit rates"). A picture that is added changes those entries only that it wins.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np

from fasgen.records import PROVENANCE, TRAINING_SPLITS, Reason, Scalar
from fasgen.seeds import sample_seed
from fasgen.stages.synth.config import SIMULATED_DEVICE, SynthConfig, attack_types, known_styles, simulated_key

Entry = Mapping[str, Scalar]

_CIRCLES = 4
"""Circles on which guides lie. On one alone a guide would win as much as the gap before it is wide, which differs widely."""

_UNKNOWN = "is none that the weights were trained on"

_WORD = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15


def _mixed(value: int) -> int:
    """A bijection of 64 bits in which every bit hangs on every other (Steele et al. 2014, SplitMix64)."""
    value &= _WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)


@cache
def _word(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")


class Guides:
    """The pictures that show a style in one split, to be found by score.

    The score of a picture is how closely it follows upon the entry on any of some circles, round which both lie by their
    hashes: so the best one is found by halving, and not by looking at each.

    Args:
        rows: as in `draw`.
        members: their numbers in the table.
    """

    def __init__(self, rows: Mapping[str, Any], members: np.ndarray[Any, Any]) -> None:
        self._subjects = rows["subject"]
        self._count = len(members)
        known = Counter(self._subjects[index] for index in members.tolist())
        self._of = {subject: count for subject, count in known.items() if subject is not None}
        self._members = frozenset(members.tolist())
        ids = [int(str(rows["sample_id"][index]), 16) for index in members.tolist()]
        self._circles: list[tuple[list[int], list[int]]] = []
        for circle in range(_CIRCLES):
            places = sorted(zip([_mixed(one + circle * _STEP) for one in ids], members.tolist(), strict=True))
            self._circles.append(([place for place, _ in places], [index for _, index in places]))

    def has(self, face: int) -> bool:
        """Whether one of them is neither the face itself nor of the same subject."""
        subject = self._subjects[face]
        mine = self._of.get(subject, 0) if subject is not None else int(face in self._members)
        return self._count > mine

    def best(self, face: int, key: int) -> int:
        """The one with the highest score of those that `has` speaks of."""
        subject, found = self._subjects[face], []
        for circle, (places, members) in enumerate(self._circles):
            point = _mixed(key + circle * _STEP)
            at = bisect_left(places, point)
            while True:
                index = members[at % len(members)]
                if index != face and (subject is None or self._subjects[index] != subject):
                    break
                at += 1
            found.append(((places[at % len(places)] - point) & _WORD, index))
        return min(found)[1]


@dataclass(frozen=True, slots=True)
class Style:
    """One spoof style of the pool.

    Attributes:
        key: data set | capture device | attack type.
        dataset: of its pictures; ``physical`` for a simulated one.
        attack_type: presentation attack instrument.
        device: capture device.
        simulation: style of the physical simulation, or ``None`` for a style seen in real pictures.
        guides: pictures that show it, by the split of the faces that they may serve.
    """

    key: str
    dataset: str
    attack_type: str
    device: str | None
    simulation: str | None
    guides: Mapping[str | None, Guides] = field(default_factory=dict)

    def guides_of(self, rows: Mapping[str, Any], face: int) -> Guides | None:
        """Those that may serve the face's split, if one of them is of somebody else."""
        guides = self.guides.get(rows["split"][face])
        return guides if guides is not None and guides.has(face) else None


def draw(rows: Mapping[str, Any], config: SynthConfig, seed: int) -> list[dict[str, Scalar]]:
    """The roster of synth: for every live face that was aligned, its variants.

    Args:
        rows: identity, status and provenance of every aligned row, as arrays by name.
        config: settings.
        seed: the run's seed.

    Returns:
        entries in order of unit and place. A face for which no style is left has one entry with a reason.
    """
    live = np.flatnonzero(rows["label"] == "live")
    ok = rows["status"] == "ok"
    styles, dropped = pool(rows, config, live[ok[live]])
    owned = _owned(rows)
    entries: list[dict[str, Scalar]] = []
    rank: Counter[int] = Counter()
    most = len(styles) if config.plan == "all" else config.variants
    for index in live.tolist():
        unit = int(rows["unit"][index])
        # Faces without a crop keep their place, so that nobody's batch depends on whether another face was found.
        first = rank[unit] * max(1, most)
        rank[unit] += 1
        if ok[index]:
            entries += _variants(rows, index, styles, dropped, owned, config, seed, first)
    return sorted(entries, key=lambda entry: (entry["unit"], entry["place"]))


def pool(rows: Mapping[str, Any], config: SynthConfig, live: np.ndarray[Any, Any]) -> tuple[list[Style], dict[str, str]]:
    """The styles that may be used, in order of their keys, and why others may not.

    Args:
        rows: as in `draw`.
        config: settings.
        live: numbers of the live rows that have a crop; simulated guides are made of them.
    """
    dropped: dict[str, str] = {}
    found: list[Style] = []
    known = known_styles(config) if config.unseen == "reject" else None
    if config.method != "physical" and config.pool in {"auto", "real", "both"}:
        for style in _real(rows, dropped):
            if known is None or style.key in known:
                found.append(style)
            else:
                dropped[style.key] = _UNKNOWN
    if config.method == "physical" or config.pool in {"simulated", "both"} or (config.pool == "auto" and not found):
        by_split = _by_split(rows, live) if config.method != "physical" else {}
        for name, attack in attack_types().items():
            key = simulated_key(name)
            if known is None or key in known:
                found.append(Style(key, "physical", attack, SIMULATED_DEVICE, name, by_split))
            else:
                dropped[key] = _UNKNOWN
    chosen = []
    for style in sorted(found, key=lambda style: style.key):
        if config.styles and not any(fnmatchcase(style.key, pattern) for pattern in config.styles):
            dropped[style.key] = "is not among synth.styles"
        else:
            chosen.append(style)
    return chosen, dropped


def _real(rows: Mapping[str, Any], dropped: dict[str, str]) -> list[Style]:
    spoof = np.flatnonzero(rows["label"] == "spoof")
    by_key: dict[str, list[int]] = defaultdict(list)
    for index in spoof.tolist():
        by_key[str(rows["domain"][index])].append(index)
    found = []
    for key, members in by_key.items():
        whole = [index for index in members if rows["status"][index] == "ok"]
        if not whole:
            dropped[key] = f"none of its {len(members)} pictures has a face"
            continue
        one = min(whole, key=lambda index: str(rows["sample_id"][index]))
        attack, device = rows["attack_type"][one], rows["device"][one]
        found.append(
            Style(
                key,
                str(rows["dataset"][one]),
                str(attack) if attack is not None else "spoof",
                str(device) if device is not None else None,
                None,
                _by_split(rows, np.array(whole, np.int64)),
            )
        )
    return found


def notes(rows: Mapping[str, Any], config: SynthConfig) -> list[str]:
    """What became of the user's attacks that one would not expect, in sentences.

    Args:
        rows: as in `draw`.
        config: settings.
    """
    live = np.flatnonzero((rows["label"] == "live") & (rows["status"] == "ok"))
    styles, dropped = pool(rows, config, live)
    simulated = {simulated_key(name) for name in attack_types()}
    unknown = sorted(key for key, why in dropped.items() if why == _UNKNOWN and key not in simulated)
    if not unknown or not styles:
        # Where nothing at all is made, every row says so itself.
        return []
    named = ", ".join(unknown[:3]) + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else "")
    instead = "" if any(style.simulation is None for style in styles) else ", so simulated styles are made in their place"
    return [
        f"styles of your attacks are unknown to these weights ({named}){instead}: `fasgen train style` and `fasgen train "
        "difffas` with pairs.path=STORE learn them, and synth.weights takes what they wrote"
    ]


def _by_split(rows: Mapping[str, Any], members: np.ndarray[Any, Any]) -> dict[str | None, Guides]:
    """The pictures that may serve the faces of each split: its own, and where there is none, or it is ``train``, of both."""
    split: dict[str | None, list[int]] = defaultdict(list)
    for index in members.tolist():
        own = rows["split"][index]
        for served in TRAINING_SPLITS if own in TRAINING_SPLITS else (own,):
            split[served].append(index)
    return {name: Guides(rows, np.array(indices, np.int64)) for name, indices in split.items()}


def _owned(rows: Mapping[str, Any]) -> dict[str, set[str]]:
    """Style keys of which each subject has pictures."""
    owned: dict[str, set[str]] = defaultdict(set)
    for index in np.flatnonzero(rows["label"] == "spoof").tolist():
        if rows["subject"][index] is not None:
            owned[rows["subject"][index]].add(str(rows["domain"][index]))
    return owned


def _variants(
    rows: Mapping[str, Any],
    index: int,
    styles: Sequence[Style],
    dropped: Mapping[str, str],
    owned: Mapping[str, set[str]],
    config: SynthConfig,
    seed: int,
    first: int,
) -> list[dict[str, Scalar]]:
    sample_id = str(rows["sample_id"][index])
    face = {column.name: rows[column.name][index] for column in PROVENANCE}
    identity: dict[str, Scalar] = {"unit": int(rows["unit"][index]), "row": int(rows["row"][index])}
    meets = [style for style in styles if _may_meet(style, face, owned, config)]
    able = meets if config.method == "physical" else [style for style in meets if style.guides_of(rows, index)]
    entries: list[dict[str, Scalar]] = []
    for number, (style, key) in enumerate(_chosen(able, config, seed, sample_id)):
        guides = style.guides_of(rows, index)
        guide = guides.best(index, key) if guides and config.method != "physical" else None
        entry = identity | {"variant": number + 1, "place": first + number, "style": style.key}
        entry |= _provenance(rows, face, style, guide, sample_id)
        entries.append(entry)
    if entries:
        return entries
    reason, detail = _why(meets, styles, dropped, face, config)
    nobody = {name: value for name, value in face.items() if name != "style_subject"}
    return [
        identity
        | {"variant": 1, "place": first, "parent_ids": [sample_id], "reason": reason.value, "detail": detail}
        | nobody
        | {"label": "spoof"}
    ]


def _may_meet(style: Style, face: Mapping[str, Scalar], owned: Mapping[str, set[str]], config: SynthConfig) -> bool:
    mine = owned.get(str(face["subject"]), set()) if face["subject"] is not None else set()
    match config.plan:
        case "cross_domain":
            return (style.dataset, style.device) != (face["dataset"], face["device"])
        case "cross_attack":
            return style.attack_type not in {key.rpartition("|")[2] for key in mine}
        case "fill":
            return style.dataset == face["dataset"] and style.key not in mine
        case _:
            return True


def _chosen(styles: Sequence[Style], config: SynthConfig, seed: int, sample_id: str) -> Iterator[tuple[Style, int]]:
    """The styles of one face's variants, each with the variant's key: every one, or so many, the attack types taking turns.

    A style that is added takes the variant that it wins; the style that had it competes for the face's later ones again.
    """
    count = len(styles) if config.plan == "all" else config.variants if styles else 0
    left: dict[str, list[Style]] = {}
    taken: Counter[str] = Counter()
    for number in range(count):
        key = sample_seed(seed, "synth.roster", sample_id, number + 1)
        if config.plan == "all":
            yield styles[number], key
            continue
        if not left:
            # No style comes again before every other has come.
            taken.clear()
            for style in styles:
                left.setdefault(style.attack_type, []).append(style)
        fewest = min(taken[attack] for attack in left)
        attack = max((one for one in left if taken[one] == fewest), key=lambda one: _mixed(key ^ _word(one)))
        style = max(left[attack], key=lambda one: _mixed(key ^ _word(one.key)))
        taken[attack] += 1
        left[attack].remove(style)
        if not left[attack]:
            del left[attack]
        yield style, key


def _provenance(
    rows: Mapping[str, Any], face: Mapping[str, Scalar], style: Style, guide: int | None, sample_id: str
) -> dict[str, Scalar]:
    found: dict[str, Scalar] = dict(face) | {
        "label": "spoof",
        "attack_type": style.attack_type,
        "device": style.device,
        "domain": style.key,
        "simulation": style.simulation,
    }
    if guide is None:
        return found | {"parent_ids": [sample_id]}
    guide_id = str(rows["sample_id"][guide])
    licences = sorted({str(face["licence"]), str(rows["licence"][guide])})
    return found | {
        "parent_ids": [sample_id, guide_id],
        "style_subject": rows["subject"][guide] or guide_id,
        "licence": " + ".join(licences),
        "guide_unit": int(rows["unit"][guide]),
        "guide_row": int(rows["row"][guide]),
    }


def _why(
    meets: Sequence[Style],
    styles: Sequence[Style],
    dropped: Mapping[str, str],
    face: Mapping[str, Scalar],
    config: SynthConfig,
) -> tuple[Reason, str]:
    """Why a face has no variant."""
    if not styles:
        faceless = sorted(key for key, why in dropped.items() if "face" in why)
        if faceless:
            return Reason.GUIDE, f"no style has a guide: {faceless[0]} {dropped[faceless[0]]}"
        unknown = sorted(key for key, why in dropped.items() if why == _UNKNOWN)
        if unknown:
            return (
                Reason.UNKNOWN_STYLE,
                f"none of the pool's styles (synth.pool {config.pool}) is one that the weights were trained on: "
                f"{', '.join(unknown[:5])}; train on them, or allow them with synth.unseen=mark",
            )
        there = f"; left out: {', '.join(sorted(dropped)[:5])}" if dropped else ""
        return Reason.NO_STYLE, f"the pool of styles (synth.pool {config.pool}) is empty{there}"
    if not meets:
        return Reason.NO_STYLE, f"synth.plan {config.plan} leaves none of {len(styles)} styles for this face"
    return (
        Reason.GUIDE,
        f"none of {len(meets)} styles has a picture of another person that may serve split {face['split'] or '(none)'}",
    )
