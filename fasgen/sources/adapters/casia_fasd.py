"""CASIA-FASD (Zhang et al., ICB 2012): 50 people, three cameras, twelve clips each.

Subject numbers begin anew in the test folder: its 1 is another person than the training folder's. They continue here, from
21 on.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Published, Rule, Table

_SPLITS = {
    "train": {"split": "train", "subject": "{number}"},
    "test": {"split": "test", "subject": "{number+20}"},
}
_CLIPS = {
    "1|2|HR_1": {"label": "live"},
    "3|4|HR_2": {"label": "spoof", "attack_family": "print", "attack_type": "warped-print"},
    "5|6|HR_3": {"label": "spoof", "attack_family": "cut_print", "attack_type": "cut-print"},
    "7|8|HR_4": {"label": "spoof", "attack_family": "replay", "attack_type": "video"},
}
_CAMERAS = {
    "[1357]": {"device": "normal"},
    "[2468]": {"device": "low"},
    "HR_[1-4]": {"device": "high"},
}

TABLE = Table(
    name="casia-fasd",
    about="50 subjects, three imaging qualities; warped print, cut print, video",
    licence="CASIA-FASD: signed agreement, research only",
    layout=("train_release/1/1.avi to train_release/20/HR_4.avi", "test_release/1/1.avi to test_release/30/HR_4.avi"),
    rules=(
        Rule(
            path=r"(?P<set>train|test)_release/(?P<number>\d{1,2})/(?P<clip>HR_[1-4]|[1-8])",
            extensions=("avi",),
            says={"attack_raw": "{clip}"},
            lookups=(
                Lookup(by="{set}", codes=_SPLITS),
                Lookup(by="{clip}", codes=_CLIPS),
                Lookup(by="{clip}", codes=_CAMERAS),
            ),
        ),
    ),
    ignore=(Ignored(path=r"(?i)(?:.*/)?readme[^/]*", why="read-me"),),
    published=(
        Published(subjects=50, files=600, live=150, spoof=450),
        Published(split="train", subjects=20, files=240, live=60, spoof=180),
        Published(split="test", subjects=30, files=360, live=90, spoof=270),
    ),
)
