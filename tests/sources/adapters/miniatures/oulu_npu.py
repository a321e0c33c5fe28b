from pathlib import Path

from .writing import put

ROWS = """
Dev_files/6_2_21_2.avi 21 spoof print print-1 2 phone-6 2 - dev -
Dev_files/6_2_21_3.avi 21 spoof print print-2 3 phone-6 2 - dev -
Test_files/3_3_36_4.avi 36 spoof replay replay-1 4 phone-3 3 - test -
Test_files/3_3_36_5.avi 36 spoof replay replay-2 5 phone-3 3 - test -
Train_files/1_1_01_1.avi 01 live - - - phone-1 1 - train Train_files/1_1_01_1.txt
"""
UNKNOWN = {"Train_files/1_1_01_6.avi", "Train_files/7_1_01_1.avi", "Train_files/2_1_01_1.txt"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()))
    put(root, "Train_files/1_1_01_6.avi", "Train_files/7_1_01_1.avi")
    put(root, "Train_files/1_1_01_1.txt", data="0,10,11,20,12\n1,0,0,0,0\n2,12,13,22,14\n")
    put(root, "Train_files/2_1_01_1.txt", data="0,10,11,20,12\n")
    put(root, "Protocols/Protocol_1/Train.txt", data="+1,1_1_01_1\n")
