from pathlib import Path

from .writing import put

ROWS = """
devel/attack/hand/attack_highdef_client003_session01_highdef_photo_adverse.mov 003 spoof replay highdef highdef_photo_hand webcam 01 adverse dev -
devel/attack/hand/attack_highdef_client003_session01_highdef_video_controlled.mov 003 spoof replay highdef highdef_video_hand webcam 01 controlled dev -
test/attack/fixed/attack_mobile_client009_session01_mobile_photo_controlled.mov 009 spoof replay mobile mobile_photo_fixed webcam 01 controlled test -
test/attack/fixed/attack_mobile_client009_session01_mobile_video_adverse.mov 009 spoof replay mobile mobile_video_fixed webcam 01 adverse test -
train/attack/fixed/attack_print_client001_session01_highdef_photo_adverse.mov 001 spoof print print print_photo_fixed webcam 01 adverse train -
train/real/client001_session01_webcam_authenticate_adverse_1.mov 001 live - - - webcam 01 adverse train face-locations/train/real/client001_session01_webcam_authenticate_adverse_1.face
train/real/client001_session01_webcam_authenticate_controlled_2.mov 001 live - - - webcam 01 controlled train -
"""
UNKNOWN = {"train/real/client001_session01_webcam_authenticate_bright_1.mov", "face-locations/train/real/nobody.face"}


def make(root: Path) -> None:
    put(root, *(line.split()[0] for line in ROWS.strip().splitlines()))
    put(root, "train/real/client001_session01_webcam_authenticate_bright_1.mov")
    put(root, "face-locations/train/real/nobody.face", data="0 1 2 3 4\n")
    put(root, "enroll/train/client001_session01_webcam_enroll_adverse_1.mov")
    put(root, "face-locations/enroll/train/client001_session01_webcam_enroll_adverse_1.face", data="0 1 2 3 4\n")
    put(root, "protocols/grandtest-train.txt", data="train/real/client001\n")
    name = "face-locations/train/real/client001_session01_webcam_authenticate_adverse_1.face"
    put(root, name, data="0 10 8 10 10\n1 0 0 0 0\n2 11 9 10 10\n")
