"""CelebA-Spoof (Zhang et al., ECCV 2020): 625,537 pictures of 10,177 people, with boxes and for most of them labels.

Boxes lie on a grid of 224 x 224 whatever the picture's size; some reach outside of the picture, and one file is empty.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Annotation, Ignored, Lookup, Marks, Published, Rule, Table

_FOLDERS = {"live": {"label": "live"}, "spoof": {"label": "spoof"}}
# Positions of the 44 numbers of a picture: 40 kind of attack, 41 illumination, 42 environment, 43 spoof.
_ATTACKS = {
    "0": {},
    "1": {"attack_family": "print", "attack_type": "photo"},
    "2": {"attack_family": "print", "attack_type": "poster"},
    "3": {"attack_family": "print", "attack_type": "a4"},
    "4": {"attack_family": "mask_paper", "attack_type": "face-mask"},
    "5": {"attack_family": "mask_paper", "attack_type": "upper-body-mask"},
    "6": {"attack_family": "mask_paper", "attack_type": "region-mask"},
    "7": {"attack_family": "replay", "attack_type": "pc"},
    "8": {"attack_family": "replay", "attack_type": "pad"},
    "9": {"attack_family": "replay", "attack_type": "phone"},
    "10": {"attack_family": "mask_rigid", "attack_type": "3d-mask"},
}
_ILLUMINATIONS = {
    "1": {"lighting": "normal"},
    "2": {"lighting": "strong"},
    "3": {"lighting": "back"},
    "4": {"lighting": "dark"},
}
_ENVIRONMENTS = {"1": {"session": "indoor"}, "2": {"session": "outdoor"}}

TABLE = Table(
    name="celeba-spoof",
    about="10,177 subjects, pictures with boxes; print, paper cuts, replay, 3D mask",
    licence="CelebA-Spoof: research only",
    layout=(
        "Data/train|test/<subject>/live|spoof/<number>.png or .jpg, with <number>_BB.txt",
        "metas/intra_test/train_label.json",
    ),
    rules=(
        Rule(
            path=r"Data/(?P<split>train|test)/(?P<subject>\d+)/(?P<folder>live|spoof)/\d+",
            extensions=("png", "jpg", "jpeg"),
            lookups=(Lookup(by="{folder}", codes=_FOLDERS),),
            marks=(Marks(path="{stem}_BB.txt", columns="x y w h _", grid=224),),
        ),
    ),
    annotations=(
        Annotation(
            file=r"metas/intra_test/(?:train|test)_label\.json",
            format="json",
            key="{path}",
            says={"attack_raw": "{40}", "illumination": "{41}", "environment": "{42}"},
            codes={"attack_raw": _ATTACKS, "illumination": _ILLUMINATIONS, "environment": _ENVIRONMENTS},
            without="kinds of attack, illumination and environment",
        ),
    ),
    ignore=(
        Ignored(path=r"metas/.*", why="labels of another protocol"),
        Ignored(path=r"(?i)(?:.*/)?readme[^/]*", why="read-me"),
    ),
    published=(Published(subjects=10_177, files=625_537),),
)
