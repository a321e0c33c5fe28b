"""MSU-MFSD (Wen, Han and Jain, IEEE TIFS 2015): 35 people, an Android phone and a laptop, one session.

Six live clips of the phone (clients 003 and 005 to 009) lie upside down in the file and say so in its rotation metadata,
which decoding honours; a copy that was written anew without metadata needs it said by hand.
"""

from __future__ import annotations

from fasgen.sources.adapters.table import Annotation, Ignored, Lookup, Marks, Published, Rule, Table

_FACE = "frame x y right bottom left_eye_x left_eye_y right_eye_x right_eye_y"

TABLE = Table(
    name="msu-mfsd",
    about="35 subjects, phone and laptop camera; printed photo, iPad and iPhone video",
    licence="MSU-MFSD: signed agreement, research only",
    layout=(
        "scene01/real/real_client001_android_SD_scene01.mp4",
        "scene01/attack/attack_client001_laptop_SD_printed_photo_scene01.mov",
        "train_sub_list.txt and test_sub_list.txt",
    ),
    rules=(
        Rule(
            path=r"scene01/real/real_client(?P<client>\d{3})_(?P<device>android|laptop)_SD_scene01",
            extensions=("mp4", "mov"),
            says={"label": "live", "subject": "{client}", "session": "01"},
            marks=(Marks(path="{stem}.face", columns=_FACE),),
        ),
        Rule(
            path=r"scene01/attack/attack_client(?P<client>\d{3})_(?P<device>android|laptop)_SD_(?P<attack_raw>[a-z]+_[a-z]+)_scene01",
            extensions=("mp4", "mov"),
            says={"label": "spoof", "subject": "{client}", "session": "01"},
            lookups=(
                Lookup(
                    by="{attack_raw}",
                    codes={
                        "printed_photo": {"attack_family": "print", "attack_type": "printed-photo"},
                        "ipad_video": {"attack_family": "replay", "attack_type": "ipad-video"},
                        "iphone_video": {"attack_family": "replay", "attack_type": "iphone-video"},
                    },
                ),
            ),
            marks=(Marks(path="{stem}.face", columns=_FACE),),
        ),
    ),
    annotations=tuple(
        Annotation(
            file=rf"(?:.*/)?{split}_sub_list\.txt",
            format="lines",
            key="{client}",
            record_key="{key:03}",
            says={"split": split},
            without=f"the split of the {split} subjects",
        )
        for split in ("train", "test")
    ),
    ignore=(Ignored(path=r"(?i)(?:.*/)?readme[^/]*", why="read-me"),),
    published=(
        Published(subjects=35, files=280, live=70, spoof=210),
        Published(split="train", subjects=15, live=30, spoof=90),
        Published(split="test", subjects=20, live=40, spoof=120),
    ),
)
