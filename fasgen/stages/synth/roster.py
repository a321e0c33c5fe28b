"""The style plan: which live face becomes a spoof of which style, and which picture shows that style (its guide).

Everything is derived from the manifests. A style is a data set, an attack type and a capture device (DiffFAS); simulated styles
stand beside them or in their place. Guide and face are of one split, so that no person crosses from training to test, and of
different people where people are known.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from fasgen.records import PROVENANCE, Reason, Scalar
from fasgen.seeds import sample_seed
from fasgen.stages.synth.config import SIMULATED_DEVICE, SynthConfig, attack_types, known_styles, simulated_key

Entry = Mapping[str, Scalar]

_TRIES = 16


@dataclass(frozen=True, slots=True)
class Style:
    """One spoof style of the pool.

    Attributes:
        key: data set | capture device | attack type.
        dataset: of its pictures; ``physical`` for a simulated one.
        attack_type: presentation attack instrument.
        device: capture device.
        simulation: style of the physical simulation, or ``None`` for a style seen in real pictures.
        guides: row numbers in the whole table that show it, by split.
    """

    key: str
    dataset: str
    attack_type: str
    device: str | None
    simulation: str | None
    guides: Mapping[str | None, np.ndarray[Any, np.dtype[np.int64]]] = field(default_factory=dict)


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
    if config.method != "physical" and config.pool in {"auto", "real", "both"}:
        found = _real(rows, dropped)
    if config.method == "physical" or config.pool in {"simulated", "both"} or (config.pool == "auto" and not found):
        by_split = _by_split(rows, live) if config.method != "physical" else {}
        known = known_styles(config) if config.unseen == "reject" else None
        for name, attack in attack_types().items():
            key = simulated_key(name)
            if known is None or key in known:
                found.append(Style(key, "physical", attack, SIMULATED_DEVICE, name, by_split))
            else:
                dropped[key] = "is none that the weights were trained on"
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
        one = whole[0]
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


def _by_split(rows: Mapping[str, Any], members: np.ndarray[Any, Any]) -> dict[str | None, np.ndarray[Any, Any]]:
    split: dict[str | None, list[int]] = defaultdict(list)
    for index in members.tolist():
        split[rows["split"][index]].append(index)
    return {name: np.array(indices, np.int64) for name, indices in split.items()}


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
    random = np.random.Generator(np.random.Philox(key=sample_seed(seed, "synth.roster", sample_id)))
    face = {column.name: rows[column.name][index] for column in PROVENANCE}
    identity: dict[str, Scalar] = {"unit": int(rows["unit"][index]), "row": int(rows["row"][index])}
    meets = [style for style in styles if _may_meet(style, face, owned, config)]
    entries: list[dict[str, Scalar]] = []
    for style in _order(meets, config, random):
        guide = None if config.method == "physical" else _guide(rows, index, style, random)
        if guide is None and config.method != "physical":
            continue
        number = len(entries)
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


def _order(styles: Sequence[Style], config: SynthConfig, random: np.random.Generator) -> list[Style]:
    """The styles of one face's variants: every one, or so many, the attack types taking turns."""
    if config.plan == "all":
        return list(styles)
    by_attack: dict[str, list[Style]] = defaultdict(list)
    for style in styles:
        by_attack[style.attack_type].append(style)
    queues = [[group[i] for i in random.permutation(len(group))] for _, group in sorted(by_attack.items())]
    chosen: list[Style] = []
    turn = 0
    while queues and len(chosen) < config.variants:
        # No style comes again before every other has come.
        left = [queue for queue in queues if turn < len(queue)]
        if not left:
            turn = 0
            continue
        chosen += [left[i][turn] for i in random.permutation(len(left))][: config.variants - len(chosen)]
        turn += 1
    return chosen


def _guide(rows: Mapping[str, Any], index: int, style: Style, random: np.random.Generator) -> int | None:
    """A picture of the style, of the face's split, of somebody else where subjects are known; never the face itself."""
    guides = style.guides.get(rows["split"][index])
    if guides is None:
        return None
    mine = rows["subject"][index]

    def fits(guide: int) -> bool:
        return guide != index and (mine is None or rows["subject"][guide] != mine)

    for _ in range(_TRIES):
        guide = int(guides[random.integers(len(guides))])
        if fits(guide):
            return guide
    left = [guide for guide in guides.tolist() if fits(guide)]
    return left[int(random.integers(len(left)))] if left else None


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
        there = f"; left out: {', '.join(sorted(dropped)[:5])}" if dropped else ""
        return Reason.NO_STYLE, f"the pool of styles (synth.pool {config.pool}) is empty{there}"
    if not meets:
        return Reason.NO_STYLE, f"synth.plan {config.plan} leaves none of {len(styles)} styles for this face"
    return (
        Reason.GUIDE,
        f"none of {len(meets)} styles has a picture of another person in split {face['split'] or '(none)'}",
    )
