"""HKBU-MARs V1 (Liu et al., ECCV workshops 2016): eight people, genuine in two sessions, 3D masks in the third."""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Published, Rule, Table

_FOLDERS = {
    "[12]": {"label": "live"},
    "3": {"label": "spoof", "attack_family": "mask_rigid", "attack_type": "3d-mask", "attack_raw": "s3"},
}

TABLE = Table(
    name="hkbu-mars-v1",
    about="8 subjects; 3D masks of two makers",
    licence="HKBU-MARs: signed agreement, research only",
    layout=("s1|s2|s3/SS_session_take.mp4, for example s2/07_02_04.mp4; s3 holds the masks",),
    rules=(
        Rule(
            path=r"s(?P<session>[123])/(?P<subject>\d\d)_0(?P=session)_\d\d",
            extensions=("mp4",),
            lookups=(Lookup(by="{session}", codes=_FOLDERS),),
        ),
    ),
    ignore=(Ignored(path=r"(?i)(?:.*/)?readme[^/]*", why="read-me"),),
    published=(Published(subjects=8, files=120, live=80, spoof=40),),
)
