"""WMCA's grandtest and its seven unseen attacks (George et al., IEEE TIFS 2019), and WMCA to PADISI-Face and back.

Which clients train, tune and test is in lists that ship with the data set; the file names do not tell. Makeup and wigs take no
part in these protocols.
"""

from __future__ import annotations

from dataclasses import replace

from fasgen.sources.protocols.protocol import Condition, Part, Protocol

FAMILIES = {
    "glasses": "glasses",
    "fakehead": "fake_head",
    "rigidmask": "mask_rigid",
    "flexiblemask": "mask_flexible",
    "papermask": "mask_paper",
    "prints": "print",
    "replay": "replay",
}
"""Attack family by the name of the protocol in which it is unseen."""

_ALL: Condition = {"attack_family": tuple(FAMILIES.values())}
_NOTES = ("makeup and wigs are left out, as in the published lists",)


def _part(split: str, spoof: Condition = _ALL) -> tuple[Part]:
    return (Part("wmca", {"split": (split,)}, spoof=spoof),)


def _unseen(name: str) -> Protocol:
    left = FAMILIES[name]
    seen = {"attack_family": tuple(family for family in FAMILIES.values() if family != left)}
    return Protocol(
        f"wmca-{name}",
        f"WMCA: {name} unseen",
        train=_part("train", seen),
        dev=_part("dev", seen),
        test=_part("test", {"attack_family": (left,)}),
        notes=_NOTES,
        family="wmca-unseen",
    )


_GRANDTEST = Protocol(
    "wmca-grandtest",
    "WMCA grandtest: all attacks seen",
    train=_part("train"),
    dev=_part("dev"),
    test=_part("test"),
    notes=_NOTES,
)
_PADISI = (Part("padisi-face"),)
WMCA = (
    _GRANDTEST,
    *(_unseen(name) for name in FAMILIES),
    replace(_GRANDTEST, name="wmca-to-padisi", about="WMCA grandtest to all of PADISI-Face", test=_PADISI),
    Protocol(
        "padisi-to-wmca",
        "PADISI-Face to WMCA grandtest's test side",
        train=(Part("padisi-face", {"split": ("train",)}),),
        dev=(Part("padisi-face", {"split": ("dev",)}),),
        test=_part("test"),
        notes=_NOTES,
    ),
)
