from pathlib import Path

import h5py
import numpy as np

ROWS = """
035_01_000_0_00.h5 035 live - - - - 01 - - -
035_01_000_0_01.h5 035 live - - - - 01 - - -
035_01_000_0_02.hdf5 035 live - - - - 01 - - -
035_01_000_3_01.h5 035 spoof print 3_01 3_01 - 01 - - -
035_01_000_3_05.h5 035 spoof replay 3_05 3_05 - 01 - - -
035_01_000_3_15.h5 035 spoof replay 3_15 3_15 - 01 - - -
035_01_000_4_18.h5 035 spoof replay 4_18 4_18 - 01 - - -
101_02_035_1_01.h5 035 spoof glasses 1_01 1_01 - 02 - - -
101_02_035_1_02.h5 035 spoof mask_rigid 1_02 1_02 - 02 - - -
101_02_035_1_08.h5 035 spoof makeup 1_08 1_08 - 02 - - -
101_02_035_1_14.h5 035 spoof mask_rigid 1_14 1_14 - 02 - - -
101_02_035_1_16.h5 035 spoof glasses 1_16 1_16 - 02 - - -
102_03_000_2_07.h5 item-102* spoof fake_head 2_07 2_07 - 03 - - -
103_03_041_2_08.h5 041 spoof mask_paper 2_08 2_08 - 03 - - -
103_03_041_2_17.h5 041 spoof mask_rigid 2_17 2_17 - 03 - - -
103_03_041_2_18.h5 041 spoof mask_flexible 2_18 2_18 - 03 - - -
103_03_041_2_99.h5 041 spoof mask_flexible 2_99 2_99 - 03 - - -
104_07_041_5_01.h5 041 spoof makeup 5_01 5_01 - 07 - - -
day/05.03.18_036_01_000_0_00.h5 036 live - - - - 01 - - -
"""
UNKNOWN = {"035_01_000_2_30.h5", "notes.h5"}


def make(root: Path) -> None:
    for path in (*(line.split()[0] for line in ROWS.strip().splitlines()), *UNKNOWN):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(root / path, "w") as file:
            frames = np.zeros((4, 24, 32, 3), np.uint8)
            frames[:, :, :, 0] = np.arange(4).reshape(4, 1, 1) * 50
            file["stream/color"] = frames
            file["stream/depth"] = np.zeros((4, 24, 32), np.uint16)
