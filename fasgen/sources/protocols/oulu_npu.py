"""OULU-NPU's protocols 1 to 4 (Boulkenafet et al., FG 2017); of 3 and 4 one fold for each of the six phones."""

from __future__ import annotations

from fasgen.sources.protocols.protocol import Condition, Part, Protocol

_PHONES = tuple(f"phone-{number}" for number in range(1, 7))
_SEEN, _UNSEEN = {"attack_raw": ("2", "4")}, {"attack_raw": ("3", "5")}
_EARLY, _LAST = ("1", "2"), ("3",)


def _protocol(
    name: str, about: str, train: Condition, test: Condition, seen: Condition, unseen: Condition, family: str = ""
) -> Protocol:
    return Protocol(
        name,
        about,
        train=(Part("oulu-npu", {"split": ("train",), **train}, spoof=seen),),
        dev=(Part("oulu-npu", {"split": ("dev",), **train}, spoof=seen),),
        test=(Part("oulu-npu", {"split": ("test",), **test}, spoof=unseen),),
        family=family,
    )


def _phone(number: int) -> tuple[Condition, Condition]:
    held = (_PHONES[number - 1],)
    return {"device": tuple(phone for phone in _PHONES if phone not in held)}, {"device": held}


def _fold(number: int) -> tuple[Protocol, Protocol]:
    others, held = _phone(number)
    return (
        _protocol(f"oulu-3-{number}", f"OULU-NPU 3: phone {number} unseen", others, held, {}, {}, "oulu-3"),
        _protocol(
            f"oulu-4-{number}",
            f"OULU-NPU 4: session 3, phone {number} and attack instruments unseen",
            {**others, "session": _EARLY},
            {**held, "session": _LAST},
            _SEEN,
            _UNSEEN,
            "oulu-4",
        ),
    )


_FOLDS = [_fold(number) for number in range(1, 7)]
OULU_NPU = (
    _protocol("oulu-1", "OULU-NPU 1: session 3 unseen", {"session": _EARLY}, {"session": _LAST}, {}, {}),
    _protocol("oulu-2", "OULU-NPU 2: second printer and second display unseen", {}, {}, _SEEN, _UNSEEN),
    *(third for third, _ in _FOLDS),
    *(fourth for _, fourth in _FOLDS),
)
