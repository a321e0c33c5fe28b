"""Rose-Youtu (Li et al., IEEE TIFS 2018): twenty people, five phones; prints, videos, paper masks.

There are two releases: folders by subject, and ``rgb/adaptation`` and ``rgb/test``. The split is the one in common use:
subjects 2 to 7 and 9 to 12 train, 13 to 18 and 20 to 23 test.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Published, Rule, Table

_NAME = r"(?P<kind>[A-Z][a-z]?)_(?P<session>T|NT)_(?P<device>HS|HW|5s|IP|ZTE)_(?P<glasses>w?g)_E_(?P<subject>\d{1,2})_\d+"
_KINDS = {
    "G": {"label": "live"},
    "Ps": {"label": "spoof", "attack_family": "print", "attack_type": "print-still"},
    "Pq": {"label": "spoof", "attack_family": "print", "attack_type": "print-quivering"},
    "Vl": {"label": "spoof", "attack_family": "replay", "attack_type": "video-lenovo"},
    "Vm": {"label": "spoof", "attack_family": "replay", "attack_type": "video-mac"},
    "Mc": {"label": "spoof", "attack_family": "mask_paper", "attack_type": "paper-mask-cropped"},
    "Mf": {"label": "spoof", "attack_family": "mask_paper", "attack_type": "paper-mask-full"},
    "Mu": {"label": "spoof", "attack_family": "mask_paper", "attack_type": "paper-mask-upper"},
}
_SUBJECTS = {
    "[2-7]|9|1[0-2]": {"split": "train"},
    "1[3-8]|2[0-3]": {"split": "test"},
    r"\d+": {},
}
_SAYS = {"attack_raw": "{kind}"}
_LOOKUPS = (Lookup(by="{kind}", codes=_KINDS), Lookup(by="{subject}", codes=_SUBJECTS))

TABLE = Table(
    name="rose-youtu",
    about="20 subjects, 5 phones; print, video, paper masks",
    licence="Rose-Youtu: signed agreement, research only",
    layout=("<subject>/L_S_D_x_E_p_N.mp4, for example 18/Vl_NT_IP_g_E_18_153.mp4", "or rgb/adaptation|test/ with such names"),
    rules=(
        Rule(path=rf"\d{{1,2}}/{_NAME}", extensions=("mp4",), says=_SAYS, lookups=_LOOKUPS),
        Rule(path=rf"(?:rgb/)?(?:adaptation|test)/(?:.*/)?{_NAME}", extensions=("mp4",), says=_SAYS, lookups=_LOOKUPS),
    ),
    ignore=(
        Ignored(path=r"(?:.*/)?(?:adaptation|test)_list\.txt", why="protocol list"),
        Ignored(path=r"(?i)(?:.*/)?readme[^/]*", why="read-me"),
    ),
    published=(Published(subjects=20), Published(split="train", subjects=10), Published(split="test", subjects=10)),
)
