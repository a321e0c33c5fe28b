"""SiW-M (Liu et al., CVPR 2019): live and thirteen kinds of attack, made for leave-one-attack-out.

Names do not tell people: each clip is a subject of its own, flagged as such, so that nobody builds pairs on it.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Ignored, Lookup, Marks, Published, Rule, Table

_SPOOF = {
    "Paper/Paper": {"attack_family": "print"},
    "Replay/Replay": {"attack_family": "replay"},
    "Mask/HalfMask/Mask_Half": {"attack_family": "mask_rigid"},
    "Mask/SiliconeMask/Mask_Silicone": {"attack_family": "mask_flexible"},
    "Mask/TransparentMask/Mask_Trans": {"attack_family": "mask_rigid"},
    "Mask/PaperMask/Mask_Paper": {"attack_family": "mask_paper"},
    "Mask/MannequinHead/Mask_Mann": {"attack_family": "fake_head"},
    "Makeup/Obfuscation/Makeup_Ob": {"attack_family": "makeup"},
    "Makeup/Impersonation/Makeup_Im": {"attack_family": "makeup"},
    "Makeup/Cosmetic/Makeup_Co": {"attack_family": "makeup"},
    "Partial/FunnyeyeGlasses/Partial_Funnyeye": {"attack_family": "glasses"},
    "Partial/PaperGlasses/Partial_Paperglass": {"attack_family": "glasses"},
    "Partial/PaperCut/Partial_(?:Eye|Mouth)": {"attack_family": "partial"},
}
# Where a release has them: corners, a line a frame, as in SiW.
_MARKS = (Marks(path="{stem}.face", columns="x y right bottom"),)

TABLE = Table(
    name="siw-m",
    about="live and 13 kinds of attack; subjects unknown",
    licence="SiW-M: signed agreement, research only",
    layout=(
        "Live/Train|Test/Live_1.mov",
        "Paper/Paper_1.mov",
        "Replay/",
        "Mask/HalfMask/Mask_Half_1.mov",
        "Makeup/",
        "Partial/",
    ),
    rules=(
        Rule(
            path=r"Live/(?P<split>Train|Test)/(?P<subject>Live_\d+)",
            extensions=("mov", "mp4"),
            says={"label": "live", "subject_is_pseudo": "true"},
            marks=_MARKS,
        ),
        Rule(
            path=r"(?P<folder>(?:Paper|Replay|Mask/\w+|Makeup/\w+|Partial/\w+))/(?P<subject>(?P<kind>[A-Za-z]+(?:_[A-Za-z]+)?)_\d+)",
            extensions=("mov", "mp4"),
            says={"label": "spoof", "subject_is_pseudo": "true", "attack_type": "{kind}", "attack_raw": "{kind}"},
            lookups=(Lookup(by="{folder}/{kind}", codes=_SPOOF),),
            marks=_MARKS,
        ),
    ),
    ignore=(
        Ignored(path=r".*\.dat", why="blob of pixels of another release: its width and height are written nowhere"),
        Ignored(path=r"(?i)(?:.*/)?(?:protocols?|lists?)/.*", why="protocol list"),
        Ignored(path=r"(?i)(?:.*/)?(?:readme[^/]*|(?:train|test)[^/]*\.txt)", why="read-me or protocol list"),
    ),
    # 72 half, 88 transparent: rigid; 27 silicone; 17 paper masks; 40 heads; 23 + 61 + 50 makeup; 160 + 127 glasses; 86 cuts.
    published=(
        Published(
            files=1628,
            live=660,
            spoof=968,
            families={
                "print": 118,
                "replay": 99,
                "mask_rigid": 160,
                "mask_flexible": 27,
                "mask_paper": 17,
                "fake_head": 40,
                "makeup": 134,
                "glasses": 287,
                "partial": 86,
            },
        ),
    ),
)
