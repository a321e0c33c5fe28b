from pathlib import Path

from .writing import put

ROWS = """
Protocol1/Train/real/0012.jpg Protocol1-Train-0012* live - - - - Protocol1 - train -
Protocol1/Train/wax/0012.jpg Protocol1-Train-0012* spoof wax wax-figure wax - Protocol1 - train -
Protocol2/Dev/fake_7.png Protocol2-Dev-7* spoof wax wax-figure fake - Protocol2 - dev -
Protocol2/Dev/real_7.png Protocol2-Dev-7* live - - - - Protocol2 - dev -
Protocol2/Test/3_wax.png Protocol2-Test-3* spoof wax wax-figure wax - Protocol2 - test -
"""
UNKNOWN = {"Protocol2/Test/3.png"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN)
    put(root, "Protocol3/Train/real/0012.jpg", "Protocol3/Train/wax/0012.jpg")
    put(root, "readme.txt", data="...")
