"""SiW's protocols 1 to 3 (Liu, Jourabloo and Liu, CVPR 2018), SiW-M's leave-one-attack-out (Liu et al., CVPR 2019), the known
attacks and the open set of STDN (Liu, Stehouwer and Liu, ECCV 2020), and the first of SiW-Mv2 (Guo et al., ECCV 2022)."""

from __future__ import annotations

from fasgen.sources.protocols.protocol import Condition, Part, Protocol

_PRINTS, _REPLAYS = ("2-1", "2-2"), ("3-1", "3-2", "3-3", "3-4")


def _siw(name: str, about: str, train: Condition, test: Condition, family: str) -> Protocol:
    sides = [Part("siw", {"split": (split,)}, spoof=spoof) for split, spoof in (("train", train), ("test", test))]
    notes = ("there is no dev: hold subjects of the train side out",)
    return Protocol(name, about, (sides[0],), (sides[1],), notes=notes, family=family)


def _medium(number: int) -> Protocol:
    left = _REPLAYS[number - 1]
    seen = {"attack_raw": tuple(one for one in _REPLAYS if one != left)}
    return _siw(f"siw-2-{number}", f"SiW 2: replay on device {number} unseen", seen, {"attack_raw": (left,)}, "siw-2")


SIW = (
    Protocol(
        "siw-1",
        "SiW 1: trained on the first 60 frames of a clip, tested on all",
        (Part("siw", {"split": ("train",)}, frames=60),),
        (Part("siw", {"split": ("test",)}),),
        notes=("there is no dev: hold subjects of the train side out",),
    ),
    *(_medium(number) for number in range(1, 5)),
    _siw("siw-3-1", "SiW 3: print to replay", {"attack_raw": _PRINTS}, {"attack_raw": _REPLAYS}, "siw-3"),
    _siw("siw-3-2", "SiW 3: replay to print", {"attack_raw": _REPLAYS}, {"attack_raw": _PRINTS}, "siw-3"),
)

ATTACKS = {
    "replay": ("Replay",),
    "print": ("Paper",),
    "half-mask": ("Mask_Half",),
    "silicone-mask": ("Mask_Silicone",),
    "transparent-mask": ("Mask_Trans",),
    "paper-mask": ("Mask_Paper",),
    "mannequin": ("Mask_Mann",),
    "obfuscation": ("Makeup_Ob",),
    "impersonation": ("Makeup_Im",),
    "cosmetic": ("Makeup_Co",),
    "funny-eye": ("Partial_Funnyeye",),
    "paper-glasses": ("Partial_Paperglass",),
    "paper-cut": ("Partial_Eye", "Partial_Mouth"),
}
"""SiW-M's thirteen kinds of attack, by the kinds in its file names."""


def _left_out(name: str) -> Protocol:
    kinds = ATTACKS[name]
    return Protocol(
        f"siw-m-{name}",
        f"SiW-M: {name} unseen",
        (Part("siw-m", live={"split": ("train",)}, spoof={"!attack_type": kinds}),),
        (Part("siw-m", live={"split": ("test",)}, spoof={"attack_type": kinds}),),
        notes=("names do not tell people: live is disjoint by the authors' folders, attacks are not disjoint by subject",),
        family="siw-m",
    )


_SPLIT: Condition = {"split": ("train",)}
_BY_AUTHORS = "which attacks train and which are tested is in the authors' lists alone: give name and split as a CSV by --lists"


def _open(name: str) -> Protocol:
    """Known and unknown attacks are tested together: STDN's open set keeps the split and trains without one kind."""
    return Protocol(
        f"siw-m-open-{name}",
        f"SiW-M, open set: all attacks tested, {name} not trained on",
        (Part("siw-m", _SPLIT, spoof={"!attack_type": ATTACKS[name]}),),
        (Part("siw-m", {"split": ("test",)}),),
        notes=(_BY_AUTHORS,),
        family="siw-m-open",
    )


SIW_M = (
    *(_left_out(name) for name in ATTACKS),
    Protocol(
        "siw-m-known",
        "SiW-M: all attacks seen",
        (Part("siw-m", _SPLIT),),
        (Part("siw-m", {"split": ("test",)}),),
        notes=(_BY_AUTHORS,),
    ),
    *(_open(name) for name in ATTACKS),
)

SIW_MV2 = (
    Protocol(
        "siw-mv2-1",
        "SiW-Mv2 1: known attacks, by its lists",
        (Part("siw-mv2"),),
        (Part("siw-mv2"),),
        notes=("names do not tell people: that the lists are disjoint by person cannot be checked",),
        by_lists=True,
    ),
)
