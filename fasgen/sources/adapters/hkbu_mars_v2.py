"""HKBU-MARs V2 (Liu, Lan and Yuen, ECCV 2018): twelve people, seven cameras, six lightings; 3D masks."""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Published, Rule, Table

_FOLDERS = {
    "real": {"label": "live"},
    "attack": {"label": "spoof", "attack_family": "mask_rigid", "attack_type": "3d-mask", "attack_raw": "attack"},
}

TABLE = Table(
    name="hkbu-mars-v2",
    about="12 subjects, 7 cameras, 6 lightings; 3D masks",
    licence="HKBU-MARs: signed agreement, research only",
    layout=("real|attack/SS/CC_LL_SS.avi (camera, lighting, subject), for example attack/03/07_02_03.avi",),
    rules=(
        Rule(
            path=r"(?P<folder>real|attack)/(?P<subject>\d\d)/(?P<camera>0[1-7])_(?P<lighting>0[1-6])_(?P=subject)",
            extensions=("avi",),
            says={"device": "camera-{camera}"},
            lookups=(Lookup(by="{folder}", codes=_FOLDERS),),
        ),
    ),
    ignore=(Ignored(path=r"(?i)(?:.*/)?readme[^/]*", why="read-me"),),
    published=(Published(subjects=12, files=1008, live=504, spoof=504),),
)
