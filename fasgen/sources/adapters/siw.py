"""SiW (Liu, Jourabloo and Liu, CVPR 2018): 165 people, two cameras; print and replay in several media.

The authors document the ``.face`` files nowhere public. Public code reads four integers a line, left, top, right and bottom, a
line a frame, without area where no face was found; so does this table. One that extends it can say it otherwise.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Marks, Published, Rule, Table

_TYPES = {
    "live/1-[12]": {"label": "live"},
    "spoof/2-[12]": {"label": "spoof", "attack_family": "print", "attack_type": "print-{medium}"},
    "spoof/3-[1-4]": {"label": "spoof", "attack_family": "replay", "attack_type": "replay-{medium}"},
}

TABLE = Table(
    name="siw",
    about="165 subjects, two cameras; two prints, four replay devices",
    licence="SiW: signed agreement, research only",
    layout=("Train|Test/live|spoof/SSS/SSS-sensor-type-medium-session.mov, for example Train/spoof/003/003-1-3-2-1.mov",),
    rules=(
        Rule(
            # One file is called .m.mov, and some are .mp4.
            path=r"(?P<split>Train|Test)/(?P<folder>live|spoof)/(?P<subject>\d{3})/"
            r"(?P=subject)-(?P<sensor>[12])-(?P<type>\d)-(?P<medium>\d)-(?P<session>\d)(?:\.m)?",
            extensions=("mov", "mp4"),
            says={"device": "sensor-{sensor}", "attack_raw": "{type}-{medium}"},
            lookups=(Lookup(by="{folder}/{type}-{medium}", codes=_TYPES),),
            marks=(
                Marks(path="{stem}.face", columns="x y right bottom"),
                Marks(
                    path="{split}/{folder}/{subject}/{subject}-{sensor}-{type}-{medium}-{session}.face",
                    columns="x y right bottom",
                ),
            ),
        ),
    ),
    ignore=(
        Ignored(path=r"(?i)(?:.*/)?protocols?(?:/.*)?", why="protocol list"),
        Ignored(path=r"(?i)(?:.*/)?readme[^/]*", why="read-me"),
    ),
    published=(Published(subjects=165), Published(split="train", subjects=90), Published(split="test", subjects=75)),
)
