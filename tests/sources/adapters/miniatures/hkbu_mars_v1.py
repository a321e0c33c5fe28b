from pathlib import Path

from .writing import put

ROWS = """
s1/01_01_10.mp4 01 live - - - - 1 - - -
s2/07_02_04.mp4 07 live - - - - 2 - - -
s3/07_03_05.mp4 07 spoof mask_rigid 3d-mask s3 - 3 - - -
"""
UNKNOWN = {"s3/07_02_05.mp4"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN)
