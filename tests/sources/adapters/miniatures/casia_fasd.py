from pathlib import Path

from .writing import put

# Subject 1 of the test folder is another person than subject 1 of the training folder: 21.
_CLIPS = """
1 live - - - normal
2 live - - - low
3 spoof print warped-print 3 normal
4 spoof print warped-print 4 low
5 spoof cut_print cut-print 5 normal
6 spoof cut_print cut-print 6 low
7 spoof replay video 7 normal
8 spoof replay video 8 low
HR_1 live - - - high
HR_2 spoof print warped-print HR_2 high
HR_3 spoof cut_print cut-print HR_3 high
HR_4 spoof replay video HR_4 high
"""
_FOLDERS = (("test_release/1", "21", "test"), ("train_release/1", "1", "train"))
ROWS = "\n".join(
    f"{folder}/{clip}.avi {subject} {' '.join(says)} - - {split} -"
    for folder, subject, split in _FOLDERS
    for clip, *says in (line.split() for line in _CLIPS.strip().splitlines())
)
UNKNOWN = {"train_release/1/9.avi", "train_release/1/1 (2).avi"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.splitlines()), *UNKNOWN)
    put(root, "readme.txt", data="...")
