from pathlib import Path

from .writing import put

# path subject label family type raw device session lighting split marks
ROWS = """
scene01/attack/attack_client001_android_SD_ipad_video_scene01.mp4 001 spoof replay ipad-video ipad_video android 01 - test -
scene01/attack/attack_client001_laptop_SD_iphone_video_scene01.mov 001 spoof replay iphone-video iphone_video laptop 01 - test -
scene01/attack/attack_client005_laptop_SD_printed_photo_scene01.mov 005 spoof print printed-photo printed_photo laptop 01 - train -
scene01/real/real_client001_laptop_SD_scene01.mov 001 live - - - laptop 01 - test scene01/real/real_client001_laptop_SD_scene01.face
scene01/real/real_client005_android_SD_scene01.mp4 005 live - - - android 01 - train -
scene01/real/real_client055_android_SD_scene01.mp4 055 live - - - android 01 - - -
"""
UNKNOWN = {"scene01/real/real_client001_ipad_SD_scene01.mov"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN)
    # Two digits, and the line ends of another system.
    put(root, "train_sub_list.txt", data="02\r\n03\r\n05\r\n")
    put(root, "test_sub_list.txt", data="01\r\n")
    face = "0, 10, 8, 20, 18, 12, 11, 18, 11\n1, 0, 0, 0, 0, 0, 0, 0, 0\n2, 11, 9, 21, 19, 13, 12, 19, 12\n"
    put(root, "scene01/real/real_client001_laptop_SD_scene01.face", data=face)
