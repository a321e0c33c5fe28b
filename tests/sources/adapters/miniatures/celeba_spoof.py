import json
from pathlib import Path

from .writing import picture, put

_TYPES = (
    "print photo",
    "print poster",
    "print a4",
    "mask_paper face-mask",
    "mask_paper upper-body-mask",
    "mask_paper region-mask",
    "replay pc",
    "replay pad",
    "replay phone",
    "mask_rigid 3d-mask",
)
_SPOOF = [
    f"Data/train/1/spoof/{100 + code:06d}.jpg 1 spoof {_TYPES[code - 1]} {code} - outdoor back train -" for code in range(1, 11)
]
ROWS = "\n".join(
    [
        "Data/test/5000/live/000007.png 5000 live - - - - - - test Data/test/5000/live/000007_BB.txt",
        "Data/test/5000/live/000008.png 5000 live - - - - - - test -",
        "Data/test/5000/spoof/000009.png 5000 spoof - - - - - - test -",
        *_SPOOF,
    ]
)
UNKNOWN = {"Data/train_2/1/live/000001.jpg", "Data/train/1/spoof/notes.doc"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.splitlines()))
    put(root, "Data/train_2/1/live/000001.jpg")
    put(root, "Data/train/1/spoof/notes.doc", data="...")
    put(root, "Data/test/5000/live/000007.png", data=picture("png", 448, 112))
    # On the grid of 224, reaching over the left edge; the last number is the score.
    put(root, "Data/test/5000/live/000007_BB.txt", data="-4 100 60 80 0.9983\n")
    put(root, "Data/test/5000/live/000008_BB.txt", data="")
    train = {f"Data/train/1/spoof/{100 + code:06d}.jpg": [1] * 40 + [code, 3, 2, 1] for code in range(1, 11)}
    test = {"Data/test/5000/live/000007.png": [0] * 44}
    put(root, "metas/intra_test/train_label.json", data=json.dumps(train))
    put(root, "metas/intra_test/test_label.json", data=json.dumps(test, indent=1))
    put(root, "metas/protocol1/train_label.json", data="{}")
