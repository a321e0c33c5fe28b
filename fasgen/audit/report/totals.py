"""How many samples there are of each label and attack: photographed or made, kept or not, and of how many people."""

from __future__ import annotations

from typing import Any

from fasgen.audit.report.samples import KINDS, STATUSES, Samples

_FIRST = ("live", "spoof", "unknown")
"""Labels in the order in which they are told; any others follow."""

_Key = tuple[str | None, str | None]


def totals(samples: Samples) -> dict[str, Any]:
    """Sums over all samples, a plain document.

    Keys: ``groups``, live first, then spoofs by attack, then unknown, the whole last: ``label`` (None for the whole),
    ``attack`` (empty where none is named, None for all of a label, which is there where it has several), ``samples``,
    ``people`` known, and by kind (``KINDS``) the counts by status (``STATUSES``); ``pseudo``: clips and pictures that stand
    for people, ``nobody``: samples without a subject.
    """
    label, attack, subject = (samples.facets[name] for name in ("label", "attack_type", "subject"))
    groups: dict[_Key, dict[str, Any]] = {}
    people: dict[_Key, set[str]] = {}
    pseudo: set[str] = set()
    for number in range(len(samples)):
        which, who = label[number] or "unknown", subject[number]
        if who is not None and samples.pseudo[number]:
            pseudo.add(who)
        for key in ((which, attack[number] or ""), (which, None), (None, None)):
            if key not in groups:
                groups[key] = {"samples": 0, **{kind: [0] * len(STATUSES) for kind in KINDS}}
                people[key] = set()
            groups[key]["samples"] += 1
            groups[key][KINDS[samples.kinds[number]]][samples.status[number]] += 1
            if who is not None and not samples.pseudo[number]:
                people[key].add(who)
    attacks = {which: sum(key[0] == which and key[1] is not None for key in groups) for which, _ in groups}
    shown = sorted((key for key in groups if key[1] is not None or key[0] is None or attacks[key[0]] > 1), key=_place)
    told = [{"label": key[0], "attack": key[1], "people": len(people[key]), **groups[key]} for key in shown]
    return {"groups": told, "pseudo": len(pseudo), "nobody": sum(who is None for who in subject)}


def _place(key: _Key) -> tuple[int, str, bool, str]:
    label, attack = key
    if label is None:
        return len(_FIRST) + 1, "", True, ""
    first = _FIRST.index(label) if label in _FIRST else len(_FIRST)
    return first, label, attack is not None, attack or ""


def group_name(group: dict[str, Any]) -> str:
    """A group of ``totals`` in words."""
    if group["label"] is None:
        return "all"
    if group["attack"] is None:
        return f"{group['label']}, all"
    if group["attack"]:
        return f"{group['label']}: {group['attack']}"
    return f"{group['label']}: no attack named" if group["label"] == "spoof" else str(group["label"])
