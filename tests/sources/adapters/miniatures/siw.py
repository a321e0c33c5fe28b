from pathlib import Path

from .writing import put

ROWS = """
Test/live/012/012-2-1-2-1.mov 012 live - - - sensor-2 1 - test -
Test/spoof/012/012-1-3-3-1.mov 012 spoof replay replay-3 3-3 sensor-1 1 - test -
Test/spoof/012/012-1-3-4-1.mp4 012 spoof replay replay-4 3-4 sensor-1 1 - test -
Train/live/003/003-1-1-1-1.mov 003 live - - - sensor-1 1 - train Train/live/003/003-1-1-1-1.face
Train/spoof/003/003-1-2-1-1.m.mov 003 spoof print print-1 2-1 sensor-1 1 - train Train/spoof/003/003-1-2-1-1.face
Train/spoof/003/003-1-2-2-2.mov 003 spoof print print-2 2-2 sensor-1 2 - train -
Train/spoof/003/003-1-3-1-1.mov 003 spoof replay replay-1 3-1 sensor-1 1 - train -
Train/spoof/003/003-1-3-2-1.MOV 003 spoof replay replay-2 3-2 sensor-1 1 - train -
"""
# A live name in a spoof folder, another subject's clip in a subject's folder, a medium that does not exist.
UNKNOWN = {
    "Train/spoof/003/003-1-1-1-1.mov",
    "Train/live/003/004-1-1-1-1.mov",
    "Train/spoof/003/003-1-2-3-1.mov",
}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN)
    put(root, "Train/live/003/003-1-1-1-1.face", data="10 8 20 18\n0 0 0 0\n11 9 21 19\n")
    put(root, "Train/spoof/003/003-1-2-1-1.face", data="10 8 20 18\n")
    put(root, "Protocols/protocol_1.txt", data="Train/live/003/003-1-1-1-1_60\n")
