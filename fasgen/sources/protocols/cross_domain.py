"""Between OULU-NPU, CASIA-FASD, Replay-Attack and MSU-MFSD, by SSDG's conventions (Jia et al., CVPR 2020).

The development splits of OULU-NPU and Replay-Attack take no part in either role; train and test splits are merged.
"""

from __future__ import annotations

from fasgen.sources.protocols.protocol import Part, Protocol

_WITHOUT_DEV = {"split": ("train", "test")}
_PARTS = {
    "O": Part("oulu-npu", _WITHOUT_DEV),
    "C": Part("casia-fasd"),
    "I": Part("replay-attack", _WITHOUT_DEV),
    "M": Part("msu-mfsd"),
}
_NAMES = {"O": "OULU-NPU", "C": "CASIA-FASD", "I": "Replay-Attack", "M": "MSU-MFSD"}
_NOTES = (
    "SSDG and those who follow train on frame 6 of a clip and test on two (frames: {policy: ssdg}; train on frame_k = 0); "
    "AG-FAS takes ten uniform ones",
    "there is no dev: by convention the epoch is chosen on the test side; report figures of the last epoch to be honest",
)


def _protocol(sources: str, target: str, about: str, family: str) -> Protocol:
    train = tuple(_PARTS[letter] for letter in sources)
    trained = ", ".join(_NAMES[letter] for letter in sources)
    name, what = f"{sources}-to-{target}".lower(), f"{about}: {trained} to {_NAMES[target]}"
    return Protocol(name, what, train, (_PARTS[target],), notes=_NOTES, family=family)


LEAVE_ONE_OUT = tuple(
    _protocol(sources, target, "leave one out", "ocim")
    for sources, target in (("OCI", "M"), ("OMI", "C"), ("OCM", "I"), ("ICM", "O"))
)
LIMITED = (_protocol("MI", "C", "limited sources", "limited"), _protocol("MI", "O", "limited sources", "limited"))
