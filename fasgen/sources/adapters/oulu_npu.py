"""OULU-NPU (Boulkenafet et al., FG 2017): 55 people, six phones, three sessions; two printers, two displays."""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Marks, Published, Rule, Table

_FILES = {
    "1": {"label": "live"},
    "2": {"label": "spoof", "attack_family": "print", "attack_type": "print-1"},
    "3": {"label": "spoof", "attack_family": "print", "attack_type": "print-2"},
    "4": {"label": "spoof", "attack_family": "replay", "attack_type": "replay-1"},
    "5": {"label": "spoof", "attack_family": "replay", "attack_type": "replay-2"},
}

TABLE = Table(
    name="oulu-npu",
    about="55 subjects, six phones, three sessions; two printers, two displays",
    licence="OULU-NPU: signed agreement, research only",
    layout=(
        "Train_files/P_S_UU_F.avi (phone, session, user, file), for example Train_files/1_1_01_1.avi",
        "Dev_files/",
        "Test_files/",
    ),
    rules=(
        Rule(
            path=r"(?P<split>Train|Dev|Test)_files/(?P<phone>[1-6])_(?P<session>[1-3])_(?P<subject>\d\d)_(?P<file>\d)",
            extensions=("avi",),
            says={"device": "phone-{phone}", "attack_raw": "{file}"},
            lookups=(Lookup(by="{file}", codes=_FILES),),
            marks=(Marks(path="{stem}.txt", columns="frame left_eye_x left_eye_y right_eye_x right_eye_y"),),
        ),
    ),
    ignore=(
        Ignored(path=r"(?:Protocols?|Baseline)(?:/.*)?", why="protocol list or baseline"),
        Ignored(path=r"(?i)(?:.*/)?readme[^/]*", why="read-me"),
    ),
    published=(
        Published(subjects=55, files=4950, live=990, spoof=3960),
        Published(split="train", subjects=20, files=1800, live=360, spoof=1440),
        Published(split="dev", subjects=15, files=1350, live=270, spoof=1080),
        Published(split="test", subjects=20, files=1800, live=360, spoof=1440),
    ),
)
