"""WFFD (Jia et al., 2019): pictures of wax figures, and of the people whom they show.

How files are called is not documented. The folder or the name says real or wax; the number at the end of the name, common
to a picture and its wax figure, stands for the person, flagged as a guess. Protocol 3 holds the pictures of the other two
once more and is left out beside them.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Published, Rule, Table

_KINDS = {
    "(?i)real|live|genuine|bonafide": {"label": "live"},
    "(?i)wax|fake|attack|spoof": {
        "label": "spoof",
        "attack_family": "wax",
        "attack_type": "wax-figure",
        "attack_raw": "{kind}",
    },
}
_KIND = r"(?P<kind>(?i:real|live|genuine|bonafide|wax|fake|attack|spoof))"
_IMAGES = ("jpg", "jpeg", "png", "bmp")


def _rules(protocol: str, repeats: str = "") -> tuple[Rule, ...]:
    start = rf"(?P<protocol>{protocol})/(?P<split>(?i:train|dev|val|test))[^/]*/"
    folder = rf"{start}(?:[^/]+/)*?{_KIND}[^/]*/(?:.*/)?"
    paths = (
        rf"{folder}[^/]*?(?P<pair>\d+)[^/\d]*",
        rf"{folder}[^/\d]*",
        rf"{start}(?:.*/)?[^/\d]*{_KIND}[^/\d]*(?P<pair>\d+)[^/]*",
        rf"{start}(?:.*/)?[^/\d]*(?P<pair>\d+)[^/\d]*{_KIND}[^/]*",
    )
    says = {"session": "{protocol}", "subject": "{protocol}-{split}-{pair}", "subject_is_pseudo": "true"}
    lookups = (Lookup(by="{kind}", codes=_KINDS),)
    return tuple(Rule(path=path, extensions=_IMAGES, says=says, lookups=lookups, repeats=repeats) for path in paths)


TABLE = Table(
    name="wffd",
    about="wax figures and people, pictures; pairs",
    licence="WFFD: password by mail, research only",
    layout=("Protocol1|Protocol2|Protocol3/Train|Dev|Test/ with pictures in folders, or under names, of real and wax",),
    rules=(
        *_rules("Protocol_?[12]"),
        *_rules("Protocol_?3", "Protocol 3 holds the pictures of Protocols 1 and 2 again"),
    ),
    ignore=(Ignored(path=r"(?i)(?:.*/)?[^/]*\.(?:txt|md|pdf|csv|xlsx?)", why="list or document"),),
    published=(
        Published(files=2200),
        Published(split="train", files=1320),
        Published(split="dev", files=440),
        Published(split="test", files=440),
    ),
)
