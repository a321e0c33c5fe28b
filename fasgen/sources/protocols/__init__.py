"""Evaluation protocols as tables: which rows of which data sets train, tune and test. Nothing here reads a file."""

from __future__ import annotations

from fasgen.sources.protocols.celeba_spoof import CELEBA_SPOOF
from fasgen.sources.protocols.cross_domain import CROSS_DOMAIN
from fasgen.sources.protocols.oulu_npu import OULU_NPU
from fasgen.sources.protocols.protocol import Part, Protocol
from fasgen.sources.protocols.siw import SIW, SIW_M, SIW_MV2
from fasgen.sources.protocols.within import WITHIN
from fasgen.sources.protocols.wmca import WMCA

PROTOCOLS: dict[str, Protocol] = {
    one.name: one for one in (*CROSS_DOMAIN, *OULU_NPU, *SIW, *SIW_M, *SIW_MV2, *WMCA, *CELEBA_SPOOF, *WITHIN)
}
"""Every protocol by its name."""

FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(one.name for one in PROTOCOLS.values() if one.family == family)
    for family in dict.fromkeys(one.family for one in PROTOCOLS.values() if one.family)
}
"""The folds of every protocol that has some."""

__all__ = ["FAMILIES", "PROTOCOLS", "Part", "Protocol"]
