"""Between OULU-NPU, CASIA-FASD, Replay-Attack and MSU-MFSD, by SSDG's conventions (Jia et al., CVPR 2020).

The development splits of OULU-NPU and Replay-Attack take no part in either role; train and test splits are merged. SSDG and
those who follow train on one frame of a clip and test on two; AG-FAS takes ten for both, and is otherwise the same.
"""

from __future__ import annotations

from dataclasses import replace

from fasgen.sources.protocols.protocol import Part, Protocol

_WITHOUT_DEV = {"split": ("train", "test")}
_PARTS = {
    "O": Part("oulu-npu", _WITHOUT_DEV),
    "C": Part("casia-fasd"),
    "I": Part("replay-attack", _WITHOUT_DEV),
    "M": Part("msu-mfsd"),
}
_NAMES = {"O": "OULU-NPU", "C": "CASIA-FASD", "I": "Replay-Attack", "M": "MSU-MFSD"}
_NO_DEV = "there is no dev: by convention the epoch is chosen on the test side; report figures of the last epoch to be honest"
_TWO = "frame 6 of a clip trains, it and another one half the clip later are tested: ingest with frames: {policy: ssdg}"
_TEN = "AG-FAS takes ten uniform frames of a clip, to train and to test: ingest with frames: 10"


def _protocol(sources: str, target: str, about: str, family: str) -> Protocol:
    trained = ", ".join(_NAMES[letter] for letter in sources)
    return Protocol(
        f"{sources}-to-{target}".lower(),
        f"{about}: {trained} to {_NAMES[target]}",
        tuple(replace(_PARTS[letter], takes=(1, 2)) for letter in sources),
        (replace(_PARTS[target], takes=(2, 2)),),
        notes=(_TWO, _NO_DEV),
        family=family,
    )


def _ten_frames(protocol: Protocol) -> Protocol:
    """The same with every frame of a clip."""
    train, test = (tuple(replace(part, takes=None) for part in parts) for parts in (protocol.train, protocol.test))
    name, about, family = f"{protocol.name}-10", f"{protocol.about}, ten frames a clip", f"{protocol.family}-10"
    return replace(protocol, name=name, about=about, family=family, train=train, test=test, notes=(_TEN, _NO_DEV))


_SSDG = (
    *(
        _protocol(sources, target, "leave one out", "ocim")
        for sources, target in (("OCI", "M"), ("OMI", "C"), ("OCM", "I"), ("ICM", "O"))
    ),
    *(_protocol("MI", target, "limited sources", "limited") for target in "CO"),
)
CROSS_DOMAIN = (*_SSDG, *map(_ten_frames, _SSDG))
