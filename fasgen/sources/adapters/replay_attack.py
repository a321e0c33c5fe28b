"""Replay-Attack (Chingovska, Anjos and Marcel, BIOSIG 2012): 50 people, one webcam, two lightings."""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Marks, Published, Rule, Table

_MARKS = (Marks(path="face-locations/{stem}.face", columns="frame x y w h"),)
_INSTRUMENTS = {
    "print": {"attack_family": "print"},
    "mobile|highdef": {"attack_family": "replay"},
}

TABLE = Table(
    name="replay-attack",
    about="50 subjects, webcam; print, mobile and high-definition screen, fixed and hand-held",
    licence="Replay-Attack: signed agreement, research only",
    layout=(
        "train|devel|test/real/client001_session01_webcam_authenticate_adverse_1.mov",
        "train|devel|test/attack/fixed|hand/attack_print_client001_session01_highdef_photo_adverse.mov",
        "face-locations/ with the same paths, .face",
    ),
    rules=(
        Rule(
            path=r"(?P<split>train|devel|test)/real/"
            r"client(?P<subject>\d{3})_session(?P<session>\d\d)_webcam_authenticate_(?P<lighting>controlled|adverse)_[12]",
            extensions=("mov",),
            says={"label": "live", "device": "webcam"},
            marks=_MARKS,
        ),
        Rule(
            path=r"(?P<split>train|devel|test)/attack/(?P<support>fixed|hand)/"
            r"attack_(?P<attack_type>print|mobile|highdef)_client(?P<subject>\d{3})_session(?P<session>\d\d)_"
            r"(?:highdef|mobile)_(?P<medium>photo|video)_(?P<lighting>controlled|adverse)",
            extensions=("mov",),
            says={"label": "spoof", "device": "webcam", "attack_raw": "{attack_type}_{medium}_{support}"},
            lookups=(Lookup(by="{attack_type}", codes=_INSTRUMENTS),),
            marks=_MARKS,
        ),
    ),
    ignore=(
        Ignored(path=r"enroll/.*", why="enrolment clip, for face verification"),
        Ignored(path=r"face-locations/enroll/.*", why="boxes of enrolment clips"),
        Ignored(path=r"(?:protocols?|lists?)/.*", why="protocol list"),
        Ignored(path=r"(?i)(?:.*/)?(?:readme|licen[cs]e)[^/]*", why="read-me or licence"),
    ),
    published=(
        Published(subjects=50, files=1200, live=200, spoof=1000),
        Published(split="train", subjects=15, live=60, spoof=300),
        Published(split="dev", subjects=15, live=60, spoof=300),
        Published(split="test", subjects=20, live=80, spoof=400),
    ),
)
