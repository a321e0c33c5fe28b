"""CelebA-Spoof within itself and to CASIA-FASD (Zhang et al., ECCV 2020)."""

from __future__ import annotations

from fasgen.sources.protocols.protocol import Part, Protocol

_NOTES = ("there is no dev: hold subjects of the train side out",)
_TRAIN = (Part("celeba-spoof", {"split": ("train",)}),)

CELEBA_SPOOF = (
    Protocol(
        "celeba-spoof-intra",
        "CelebA-Spoof: train to test",
        _TRAIN,
        (Part("celeba-spoof", {"split": ("test",)}),),
        notes=_NOTES,
    ),
    Protocol(
        "celeba-spoof-to-casia",
        "CelebA-Spoof to CASIA-FASD",
        _TRAIN,
        (Part("casia-fasd"),),
        notes=(*_NOTES, "the authors take every 8th frame of CASIA-FASD (frames: {policy: every, step: 8, count: ...})"),
    ),
    *(
        Protocol(
            f"celeba-spoof-{number}",
            f"CelebA-Spoof {number}: by metas/protocol{number}",
            (Part("celeba-spoof"),),
            (Part("celeba-spoof"),),
            notes=_NOTES,
            by_lists=True,
        )
        for number in (1, 2)
    ),
)
