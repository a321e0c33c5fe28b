from pathlib import Path

import numpy as np

from .writing import put

CODES = """
m00000 live - -
m50101 spoof glasses printed-eyes-glasses
m50103 spoof glasses plastic-eyes-glasses
m50104 spoof glasses printed-iris-glasses
m50105 spoof glasses plastic-eyes-glasses
m50108 spoof glasses printed-iris-glasses
m50112 spoof glasses plastic-eyes-glasses
m50201 spoof print print
m50306 spoof fake_head mannequin
m50401 spoof mask_rigid opaque-mask
m50501 spoof mask_rigid mask-m50501
m50507 spoof mask_rigid mask-m50507
m50602 spoof makeup makeup
m50701 spoof mask_flexible silicone-mask
m50801 spoof glasses paper-glasses
m50901 spoof makeup drawn-marks
"""
NAMES = [f"ID_tx{number // 2:02d}_trial{number}_NEUTRAL_GLASSES" for number in range(16)]
SAID = [line.split() for line in CODES.strip().splitlines()]


def rows(folder: str, extension: str) -> str:
    """The expected lines; participants come two transactions each."""
    lines = []
    for number, (name, (code, label, family, kind)) in enumerate(zip(NAMES, SAID, strict=True)):
        raw = code if label == "spoof" else "-"
        split = ("train", "dev", "test")[number % 3]
        lines.append(
            f"{folder}{name}{extension} p{number // 4} {label} {family} {kind} {raw} - tx{number // 2:02d} - {split} -"
        )
    return "\n".join(sorted(lines))


ROWS = rows("npz/", ".npz")
UNKNOWN = {"npz/other.npz"}


def picture(number: int) -> np.ndarray:
    """3 x 20 x 16 blue, green, red in [0, 1]; red tells pictures apart."""
    return np.stack([np.full((20, 16), level, np.float32) for level in (0.0, 0.5, number / 16)])


def tables(root: Path) -> None:
    head = "transaction_id,trial_id,trial_name,modality,ground_truth,participant_id,gender\n"
    keys = [name.split("_", 3)[1:] for name in NAMES]
    truth = [f"{','.join(key)},FACE,{SAID[number][0]},p{number // 4},F\n" for number, key in enumerate(keys)]
    put(root, "padisi_USC_FACE_ground_truth.csv", data=head + "".join(truth))
    parts = [f"{','.join(key)},{('train', 'valid', 'test')[number % 3]}\n" for number, key in enumerate(keys)]
    name = "padisi_USC_FACE_dataset_partition_3folds_part"
    put(root, f"{name}0.csv", data="transaction_id,trial_id,trial_name,partition_name\n" + "".join(parts))
    put(root, f"{name}1.csv", data="transaction_id,trial_id,trial_name,partition_name\n")


def make(root: Path) -> None:
    (root / "npz").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        channels = np.concatenate([picture(number), np.zeros((19, 20, 16), np.float32)])
        np.savez(root / f"npz/{name}.npz", channels[None])
    np.savez(root / "npz/other.npz", np.zeros(3))
    tables(root)
