import json
from pathlib import Path

from .writing import put

ROWS = """
images1024x1024/00000/00000.png 00000* live - - - - - - train -
images1024x1024/59000/59999.png 59999* live - - - - - - train -
images1024x1024/60000/60000.png 60000* live - - - - - - dev -
"""
UNKNOWN = {"images1024x1024/00000/00000 copy.png"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN)
    put(root, "thumbnails128x128/00000/00000.png")
    put(root, "LICENSE.txt", data="...")
    about = {"0": {"category": "training", "metadata": {"license": "Public Domain Mark"}}}
    put(root, "ffhq-dataset-v2.json", data=json.dumps(about))
