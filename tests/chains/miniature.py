"""Data sets in miniature with faces in them: the names that their authors give, a few people, two frames a clip.

A portrait stands for several people, each of another tint; attacks have the levels of a bad print or a screen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

PORTRAITS = Path(__file__).parents[2] / "examples" / "portraits"
FACES = ("barack_obama_2009", "charles_barkla", "eileen_collins", "grace_hopper_1984", "joe_biden_2010")
SIDE = 160
FRAMES = 2

Picture = NDArray[np.uint8]
Clip = tuple[str, int, int]
"""Path, person, and kind of attack; 0 is live."""


@cache
def _portrait(name: str) -> Picture:
    """BGR, its longer side ``SIDE`` px."""
    image = cv2.imread(str(PORTRAITS / f"{name}.jpg"))
    assert image is not None
    scale = SIDE / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    # Codecs want even sides.
    return np.ascontiguousarray(small[: small.shape[0] // 2 * 2, : small.shape[1] // 2 * 2]).astype(np.uint8)


def face(person: int, attack: int) -> Picture:
    """The picture of a person, live or attacked."""
    image = _portrait(FACES[person % len(FACES)]).astype(np.float32)
    image *= 1 - 0.04 * (person // len(FACES) % 5) * np.array([1, 0, 0.5], np.float32)
    if attack:
        image = cv2.GaussianBlur(image, (0, 0), 0.6 + 0.2 * (attack % 3)) * 0.85 + 12 * (1 + attack % 2)
        image[:: 3 + attack % 2] *= 0.8
    return np.clip(image, 0, 255).astype(np.uint8)


@cache
def _video(extension: str, person: int, attack: int) -> bytes:
    import tempfile

    image = face(person, attack)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"clip.{extension}"
        codec = {"avi": "MJPG", "mp4": "mp4v", "mov": "mp4v"}[extension]
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (image.shape[1], image.shape[0]))
        for index in range(FRAMES):
            writer.write(np.clip(image.astype(np.int16) + 2 * index, 0, 255).astype(np.uint8))
        writer.release()
        return path.read_bytes()


def _casia() -> Iterator[Clip]:
    for folder, people in (("train_release", range(1, 4)), ("test_release", range(1, 4))):
        for person in people:
            who = person + (3 if folder == "test_release" else 0)
            for stem, attack in (("1", 0), ("3", 1), ("5", 2), ("7", 3)):
                yield f"{folder}/{person}/{stem}.avi", who, attack


def _replay() -> Iterator[Clip]:
    for number, (folder, who) in enumerate([("train", 1), ("train", 2), ("devel", 3), ("devel", 4), ("test", 5), ("test", 6)]):
        client = f"client{who:03}"
        for take in (1, 2):
            yield f"{folder}/real/{client}_session01_webcam_authenticate_controlled_{take}.mov", 10 + number, 0
        attack = f"{folder}/attack/fixed/attack_{{}}_{client}_session01_{{}}_controlled.mov"
        yield attack.format("print", "highdef_photo"), 10 + number, 1
        yield attack.format("mobile", "mobile_video"), 10 + number, 4


def _msu() -> Iterator[Clip]:
    for who in (1, 2, 3, 5, 6, 7):
        yield f"scene01/real/real_client{who:03}_laptop_SD_scene01.mov", 20 + who, 0
        yield f"scene01/attack/attack_client{who:03}_laptop_SD_printed_photo_scene01.mov", 20 + who, 1
        yield f"scene01/attack/attack_client{who:03}_laptop_SD_iphone_video_scene01.mov", 20 + who, 4


def _oulu() -> Iterator[Clip]:
    for folder, people in (("Train_files", (1, 2)), ("Dev_files", (21, 22)), ("Test_files", (36, 37))):
        for who in people:
            for session in (1, 3):
                for phone in (1, 2):
                    for kind in (1, 2, 3, 4, 5):
                        yield f"{folder}/{phone}_{session}_{who:02}_{kind}.avi", 30 + who, 0 if kind == 1 else kind
    # Every phone is tested in a fold of protocols 3 and 4.
    for phone in (3, 4, 5, 6):
        for kind in (1, 3, 5):
            yield f"Test_files/{phone}_3_36_{kind}.avi", 66, 0 if kind == 1 else kind


def _siw() -> Iterator[Clip]:
    for folder, people in (("Train", (1, 2, 3)), ("Test", (91, 92, 93))):
        for who in people:
            yield f"{folder}/live/{who:03}/{who:03}-1-1-1-1.mov", who, 0
            for number, medium in enumerate(("2-1", "2-2", "3-1", "3-2", "3-3", "3-4")):
                yield f"{folder}/spoof/{who:03}/{who:03}-1-{medium}-1.mov", who, 1 + number


def _siw_m() -> Iterator[Clip]:
    for number in range(1, 9):
        yield f"Live/{'Train' if number < 5 else 'Test'}/Live_{number}.mov", number, 0
    folders = {
        **{"Paper": "Paper", "Replay": "Replay", "Mask/HalfMask": "Mask_Half", "Mask/SiliconeMask": "Mask_Silicone"},
        **{"Mask/TransparentMask": "Mask_Trans", "Mask/PaperMask": "Mask_Paper", "Mask/MannequinHead": "Mask_Mann"},
        **{"Makeup/Obfuscation": "Makeup_Ob", "Makeup/Impersonation": "Makeup_Im", "Makeup/Cosmetic": "Makeup_Co"},
        **{"Partial/FunnyeyeGlasses": "Partial_Funnyeye", "Partial/PaperGlasses": "Partial_Paperglass"},
        **{"Partial/PaperCut": "Partial_Eye"},
    }
    for kind, (folder, stem) in enumerate(folders.items()):
        for number in (1, 2):
            yield f"{folder}/{stem}_{number}.mov", 2 * kind + number, 1 + kind


def siw_m_list() -> str:
    """The lists of SiW-M, which alone say which attacks train where all kinds are known, as a CSV."""
    sides = {path: "train" if path.rpartition("_")[2] == "1.mov" or "/Train/" in path else "test" for path, _, _ in _siw_m()}
    return "name,split\n" + "".join(f"{path},{side}\n" for path, side in sides.items())


def _ffhq() -> Iterator[Clip]:
    for number in range(10):
        yield f"images1024x1024/00000/{number:05}.png", number, 0


def _celeba_spoof() -> Iterator[Clip]:
    for who in range(1, 5):
        yield f"Data/train/{who}/live/{who:06}.png", who, 0
        yield f"Data/train/{who}/spoof/{100 + who:06}.png", who, 1


def _wmca() -> Iterator[Clip]:
    for who in range(1, 9):
        yield f"{who:03}_01_000_0_00.h5", who, 0
        yield f"{who:03}_01_000_3_01.h5", who, 1
        yield f"{who:03}_01_000_4_18.h5", who, 4


def wmca_list() -> str:
    """The lists of WMCA, which alone say who is on which side, as a CSV."""
    sides = {path: ("train", "train", "train", "dev", "dev", "test", "test", "test")[who - 1] for path, who, _ in _wmca()}
    return "name,split\n" + "".join(f"{path},{side}\n" for path, side in sides.items())


_PADISI = [("m00000", 0), ("m50201", 1), ("m50401", 2)]


def _padisi() -> Iterator[Clip]:
    for who in range(1, 9):
        for number, (_, attack) in enumerate(_PADISI):
            yield f"npz/ID_tx{who:02}_trial{number}_NEUTRAL.npz", who, attack


def _padisi_tables() -> dict[str, str]:
    keys = [(f"tx{who:02}", f"trial{number}", code, who) for who in range(1, 9) for number, (code, _) in enumerate(_PADISI)]
    truth = "transaction_id,trial_id,trial_name,modality,ground_truth,participant_id,gender\n"
    parts = "transaction_id,trial_id,trial_name,partition_name\n"
    sides = ("train", "train", "train", "valid", "valid", "test", "test", "test")
    return {
        "padisi_USC_FACE_ground_truth.csv": truth
        + "".join(f"{tx},{trial},NEUTRAL,FACE,{code},p{who},F\n" for tx, trial, code, who in keys),
        "padisi_USC_FACE_dataset_partition_3folds_part0.csv": parts
        + "".join(f"{tx},{trial},NEUTRAL,{sides[who - 1]}\n" for tx, trial, _, who in keys),
    }


_FURTHER: dict[str, dict[str, str]] = {
    "msu-mfsd": {"train_sub_list.txt": "01\n02\n03\n", "test_sub_list.txt": "05\n06\n07\n"},
    "padisi-face": _padisi_tables(),
    "celeba-spoof": {
        "metas/intra_test/train_label.json": json.dumps(
            {path: [0] * 40 + [attack, 1, 1, int(attack > 0)] for path, _, attack in _celeba_spoof()}
        )
    },
}
SETS: dict[str, Callable[[], Iterator[Clip]]] = {
    "casia-fasd": _casia,
    "replay-attack": _replay,
    "msu-mfsd": _msu,
    "oulu-npu": _oulu,
    "siw": _siw,
    "siw-m": _siw_m,
    "ffhq": _ffhq,
    "celeba-spoof": _celeba_spoof,
    "wmca": _wmca,
    "padisi-face": _padisi,
}


def _write(place: Path, person: int, attack: int) -> None:
    image = face(person, attack)
    if place.suffix in (".avi", ".mov"):
        place.write_bytes(_video(place.suffix[1:], person, attack))
    elif place.suffix == ".png":
        cv2.imwrite(str(place), image)
    elif place.suffix == ".h5":
        import h5py

        with h5py.File(place, "w") as file:
            file["stream/color"] = np.stack([image[:, :, ::-1]] * FRAMES)
    else:
        channels = np.zeros((1, 22, *image.shape[:2]), np.float32)
        channels[0, :3] = image.transpose(2, 0, 1) / 255
        np.savez(place, channels)


def make(root: Path, *names: str) -> Path:
    """Write data sets below ``root``, each into a folder of its name."""
    for name in names:
        for path, person, attack in SETS[name]():
            place = root / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(place, person, attack)
        for path, text in _FURTHER.get(name, {}).items():
            (root / name / path).parent.mkdir(parents=True, exist_ok=True)
            (root / name / path).write_text(text)
    return root
