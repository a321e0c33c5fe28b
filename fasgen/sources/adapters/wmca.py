"""WMCA (George et al., IEEE TIFS 2019): 72 people, 1,679 clips of many channels, of which the colour channel is read.

The type digit misleads: plastic masks are numbered under glasses, still photographs on a screen under prints. The pair of
type and instrument decides. Whose face is seen depends on the type as well: of a print or replay it is the client shown, of
whatever is worn it is the presenter.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Published, Rule, Table

_SHOWN = {
    "[034]/.*": {"subject": "{client}"},
    # Nobody holds it: the client is the number of the mask or head itself.
    "[125]/000": {"subject": "item-{client}", "subject_is_pseudo": "true"},
    "[125]/.*": {"subject": "{presenter}"},
}
_CODES = {
    "0_0[0-2]": {"label": "live"},
    "1_(?:01|0[3-7]|15|16)": {"attack_family": "glasses"},
    "1_(?:02|13|14)": {"attack_family": "mask_rigid"},
    "1_(?:0[89]|1[0-2])": {"attack_family": "makeup"},
    "2_0[1-7]": {"attack_family": "fake_head"},
    "2_(?:0[89]|1[01])": {"attack_family": "mask_paper"},
    "2_1[2-7]": {"attack_family": "mask_rigid"},
    r"2_(?:18|7[5-9]|8\d|9\d)": {"attack_family": "mask_flexible"},
    "3_(?:0[1-4]|0[6-9]|1[1-4])": {"attack_family": "print"},
    "3_(?:05|10|15)": {"attack_family": "replay"},
    "4_(?:0[1-9]|1[0-8])": {"attack_family": "replay"},
    r"5_\d\d": {"attack_family": "makeup"},
}

TABLE = Table(
    name="wmca",
    about="72 subjects, colour channel of multi-channel HDF5; glasses, heads, masks, print, replay",
    licence="WMCA: signed agreement, research only",
    layout=("<client>_<session>_<presenter>_<type>_<pai>.h5 in any folder, for example 035_01_000_0_00.h5",),
    rules=(
        Rule(
            path=r"(?:.*/)?(?:\d\d\.\d\d\.\d\d_)?(?P<client>\d{3})_(?P<session>\d\d)_(?P<presenter>\d{3})_(?P<type>\d)_(?P<pai>\d\d)",
            extensions=("h5", "hdf5"),
            says={"label": "spoof", "attack_raw": "{type}_{pai}", "attack_type": "{type}_{pai}"},
            lookups=(Lookup(by="{type}_{pai}", codes=_CODES), Lookup(by="{type}/{presenter}", codes=_SHOWN)),
            kind="video",
            container="hdf5:(?i)colou?r|rgb",
        ),
    ),
    ignore=(
        Ignored(
            path=r"(?i)(?:.*/)?(?:protocols?|lists?|documentation|annotations?)/.*", why="protocol list, annotation or document"
        ),
        Ignored(path=r"(?i)(?:.*/)?(?:readme|licen[cs]e)[^/]*|.*\.(?:csv|lst|pdf)", why="read-me, licence or list"),
    ),
    published=(
        Published(
            subjects=72,
            files=1679,
            live=347,
            spoof=1332,
            families={
                "glasses": 75,
                "print": 200,
                "replay": 348,
                "fake_head": 122,
                "mask_rigid": 137,
                "mask_flexible": 379,
                "mask_paper": 71,
            },
        ),
    ),
)
