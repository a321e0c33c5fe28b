"""Within one data set by its own splits, and between CASIA-FASD and Replay-Attack, as LGSC and most before it report.

Replay-Attack has a dev side (Chingovska et al., BIOSIG 2012), CASIA-FASD has none (Zhang et al., ICB 2012). Of PADISI-Face it
is the first of its three partitions, whose table the adapter reads; the others are given as lists.
"""

from __future__ import annotations

from fasgen.sources.protocols.protocol import Part, Protocol

_NO_DEV = "there is no dev: hold subjects of the train side out"
_PARTITIONS = "partition 0; of 1 and 2 give name and split as a CSV by --lists, and report the mean"


def _split(dataset: str, split: str) -> tuple[Part]:
    return (Part(dataset, {"split": (split,)}),)


_CASIA, _REPLAY = "casia-fasd", "replay-attack"
WITHIN = (
    Protocol(
        "casia-intra",
        "CASIA-FASD: train to test",
        _split(_CASIA, "train"),
        _split(_CASIA, "test"),
        notes=(_NO_DEV,),
    ),
    Protocol(
        "replay-intra",
        "Replay-Attack: train to test",
        _split(_REPLAY, "train"),
        _split(_REPLAY, "test"),
        _split(_REPLAY, "dev"),
    ),
    Protocol(
        "casia-to-replay",
        "CASIA-FASD's train side to Replay-Attack's test side",
        _split(_CASIA, "train"),
        _split(_REPLAY, "test"),
        notes=(_NO_DEV,),
        family="casia-replay",
    ),
    Protocol(
        "replay-to-casia",
        "Replay-Attack's train side to CASIA-FASD's test side",
        _split(_REPLAY, "train"),
        _split(_CASIA, "test"),
        _split(_REPLAY, "dev"),
        family="casia-replay",
    ),
    Protocol(
        "padisi-intra",
        "PADISI-Face: train to test, all attacks seen",
        _split("padisi-face", "train"),
        _split("padisi-face", "test"),
        _split("padisi-face", "dev"),
        notes=(_PARTITIONS,),
    ),
)
