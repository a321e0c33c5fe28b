"""SiW-Mv2 (Guo et al., ECCV 2022), which replaces SiW-M: live and fourteen kinds of attack.

The stem says the kind, whatever the folder below ``Spoof`` is called. Names do not tell people: each clip is a subject of
its own, flagged as such. The lists of its protocols repeat names to weigh them; they are no second clips.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Marks, Rule, Table

_SPOOF = {
    "Paper": {"attack_family": "print"},
    "Replay": {"attack_family": "replay"},
    "Mask_Half": {"attack_family": "mask_rigid"},
    "Mask_Trans": {"attack_family": "mask_rigid"},
    "Mask_Paper": {"attack_family": "mask_paper"},
    "(?:Mask_)?Silicone": {"attack_family": "mask_flexible", "attack_type": "Silicone"},
    "Mask_Mann|Mannequin": {"attack_family": "fake_head", "attack_type": "Mannequin"},
    "Makeup_(?:Ob|Im|Co)": {"attack_family": "makeup"},
    "Partial_(?:Funnyeye|Paperglass)": {"attack_family": "glasses"},
    "Partial_(?:Eye|Mouth)": {"attack_family": "partial"},
}
# Where a release has them: corners, a line a frame, as in SiW.
_MARKS = (Marks(path="{stem}.face", columns="x y right bottom"),)

TABLE = Table(
    name="siw-mv2",
    about="live and 14 kinds of attack; subjects unknown",
    licence="SiW-Mv2: signed agreement, research only",
    layout=("Live/Live_1.mov", "Spoof/Mask_Half/Mask_Half_1.mov and 13 folders more"),
    rules=(
        Rule(
            path=r"Live/(?:[^/]+/)?(?P<subject>Live_\d+)",
            extensions=("mov", "mp4", "avi"),
            says={"label": "live", "subject_is_pseudo": "true"},
            marks=_MARKS,
        ),
        Rule(
            path=r"Spoof/(?:[^/]+/){1,2}(?P<subject>(?P<kind>[A-Za-z]+(?:_[A-Za-z]+)?)_\d+)",
            extensions=("mov", "mp4", "avi"),
            says={"label": "spoof", "subject_is_pseudo": "true", "attack_type": "{kind}", "attack_raw": "{kind}"},
            lookups=(Lookup(by="{kind}", codes=_SPOOF),),
            marks=_MARKS,
        ),
    ),
    ignore=(
        Ignored(path=r"(?i)(?:.*/)?(?:protocols?|lists?)/.*", why="protocol list"),
        Ignored(path=r"(?i)(?:.*/)?(?:readme[^/]*|[^/]*(?:train|test)[^/]*\.txt)", why="read-me or protocol list"),
    ),
)
