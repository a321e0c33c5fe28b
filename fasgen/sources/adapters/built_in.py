"""The data sets that fasgen knows by name."""

from __future__ import annotations

from importlib import import_module

from fasgen.sources.adapters.table import Table

BUILT_IN: dict[str, str] = {
    "msu-mfsd": "fasgen.sources.adapters.msu_mfsd",
    "casia-fasd": "fasgen.sources.adapters.casia_fasd",
    "replay-attack": "fasgen.sources.adapters.replay_attack",
    "oulu-npu": "fasgen.sources.adapters.oulu_npu",
    "siw": "fasgen.sources.adapters.siw",
    "siw-m": "fasgen.sources.adapters.siw_m",
    "siw-mv2": "fasgen.sources.adapters.siw_mv2",
    "wmca": "fasgen.sources.adapters.wmca",
    "padisi-face": "fasgen.sources.adapters.padisi_face",
    "hkbu-mars-v1": "fasgen.sources.adapters.hkbu_mars_v1",
    "hkbu-mars-v2": "fasgen.sources.adapters.hkbu_mars_v2",
    "wffd": "fasgen.sources.adapters.wffd",
    "rose-youtu": "fasgen.sources.adapters.rose_youtu",
    "celeba-spoof": "fasgen.sources.adapters.celeba_spoof",
    "ffhq": "fasgen.sources.adapters.ffhq",
}
"""Data set to the module whose ``TABLE`` it is."""


def built_in(name: str) -> Table:
    """The table of a data set that `BUILT_IN` names."""
    table: Table = import_module(BUILT_IN[name]).TABLE
    return table
