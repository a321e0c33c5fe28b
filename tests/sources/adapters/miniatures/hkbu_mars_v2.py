from pathlib import Path

from .writing import put

ROWS = """
attack/03/07_06_03.avi 03 spoof mask_rigid 3d-mask attack camera-07 - 06 - -
real/12/01_02_12.avi 12 live - - - camera-01 - 02 - -
"""
UNKNOWN = {"real/12/01_02_11.avi", "real/12/08_02_12.avi"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN)
