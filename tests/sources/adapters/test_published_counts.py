"""The counts that authors state, from complete lists of files alone: the naming grammar of each set, written out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice, product
from pathlib import Path

import pytest

from fasgen.sources.adapters import BUILT_IN, open_table
from fasgen.sources.adapters.engine import Found
from fasgen.sources.adapters.listing import ingest
from fasgen.sources.adapters.table import Published


def msu() -> Iterable[str]:
    for client, device in product(range(1, 36), ("android", "laptop")):
        suffix = {"android": "mp4", "laptop": "mov"}[device]
        yield f"scene01/real/real_client{client:03}_{device}_SD_scene01.{suffix}"
        for attack in ("ipad_video", "iphone_video", "printed_photo"):
            yield f"scene01/attack/attack_client{client:03}_{device}_SD_{attack}_scene01.{suffix}"


def casia() -> Iterable[str]:
    for split, people in (("train", 20), ("test", 30)):
        for number, clip in product(range(1, people + 1), (*"12345678", "HR_1", "HR_2", "HR_3", "HR_4")):
            yield f"{split}_release/{number}/{clip}.avi"


def replay() -> Iterable[str]:
    first = 1
    for split, people in (("train", 15), ("devel", 15), ("test", 20)):
        for client, light in product(range(first, first + people), ("controlled", "adverse")):
            for take in "12":
                yield f"{split}/real/client{client:03}_session01_webcam_authenticate_{light}_{take}.mov"
            for support in ("fixed", "hand"):
                for attack, medium in (
                    ("print", "highdef_photo"), ("mobile", "mobile_photo"), ("mobile", "mobile_video"),
                    ("highdef", "highdef_photo"), ("highdef", "highdef_video"),
                ):  # fmt: skip
                    yield f"{split}/attack/{support}/attack_{attack}_client{client:03}_session01_{medium}_{light}.mov"
        first += people


def oulu() -> Iterable[str]:
    for folder, people in (("Train", range(1, 21)), ("Dev", range(21, 36)), ("Test", range(36, 56))):
        for phone, session, user, file in product(range(1, 7), range(1, 4), people, range(1, 6)):
            yield f"{folder}_files/{phone}_{session}_{user:02}_{file}.avi"


def siw() -> Iterable[str]:
    for number in range(1, 166):
        split = "Train" if number <= 90 else "Test"
        yield f"{split}/live/{number:03}/{number:03}-1-1-1-1.mov"
        yield f"{split}/spoof/{number:03}/{number:03}-1-3-1-1.mov"


def siw_m() -> Iterable[str]:
    for folder, stem, count in (
        ("Paper", "Paper", 118), ("Replay", "Replay", 99), ("Mask/HalfMask", "Mask_Half", 72),
        ("Mask/SiliconeMask", "Mask_Silicone", 27), ("Mask/TransparentMask", "Mask_Trans", 88),
        ("Mask/PaperMask", "Mask_Paper", 17), ("Mask/MannequinHead", "Mask_Mann", 40), ("Makeup/Obfuscation", "Makeup_Ob", 23),
        ("Makeup/Impersonation", "Makeup_Im", 61), ("Makeup/Cosmetic", "Makeup_Co", 50),
        ("Partial/FunnyeyeGlasses", "Partial_Funnyeye", 160), ("Partial/PaperGlasses", "Partial_Paperglass", 127),
        ("Partial/PaperCut", "Partial_Eye", 86), ("Live/Train", "Live", 330),
    ):  # fmt: skip
        yield from (f"{folder}/{stem}_{number}.mov" for number in range(1, count + 1))
    yield from (f"Live/Test/Live_{number}.mov" for number in range(331, 661))


def wmca() -> Iterable[str]:
    """Not the true list, which has no grammar: as many clips a category as are published, over its codes and 72 people."""
    people = [f"{number:03}" for number in range(72)]
    for count, codes in (
        (347, ("0_00", "0_01", "0_02")),
        (75, ("1_01", "1_03", "1_04", "1_05", "1_06", "1_07", "1_15", "1_16")),
        (137, ("1_02", "1_13", "1_14", *(f"2_{n}" for n in range(12, 18)))),
        (122, [f"2_{n:02}" for n in range(1, 8)]),
        (71, ("2_08", "2_09", "2_10", "2_11")),
        (379, ("2_18", *(f"2_{n}" for n in range(75, 100)))),
        (200, [f"3_{n:02}" for n in (1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14)]),
        (348, ("3_05", "3_10", "3_15", *(f"4_{n:02}" for n in range(1, 19)))),
    ):
        every = product(range(1, 8), people, codes)
        yield from (f"{who}_{session:02}_{who}_{code}.h5" for session, who, code in islice(every, count))


def hkbu_v1() -> Iterable[str]:
    for person, session, take in product(range(1, 9), (1, 2, 3), range(1, 6)):
        yield f"s{session}/{person:02}_{session:02}_{take:02}.mp4"


def hkbu_v2() -> Iterable[str]:
    for kind, person, camera, light in product(("real", "attack"), range(1, 13), range(1, 8), range(1, 7)):
        yield f"{kind}/{person:02}/{camera:02}_{light:02}_{person:02}.avi"


def wffd() -> Iterable[str]:
    for protocol, counts in ((1, (600, 200, 200)), (2, (720, 240, 240)), (3, (1320, 440, 440))):
        for split, count in zip(("Train", "Dev", "Test"), counts, strict=True):
            for pair, kind in product(range(count // 2), ("real", "wax")):
                yield f"Protocol{protocol}/{split}/{kind}/{pair:04}.jpg"


def rose() -> Iterable[str]:
    for person in (*range(2, 8), *range(9, 19), *range(20, 24)):
        yield f"{person}/G_NT_HS_g_E_{person}_1.mp4"


def ffhq() -> Iterable[str]:
    for number in range(70_000):
        yield f"images1024x1024/{number // 1000 * 1000:05}/{number:05}.png"


LISTS = {
    "msu-mfsd": msu, "casia-fasd": casia, "replay-attack": replay, "oulu-npu": oulu, "siw": siw, "siw-m": siw_m, "wmca": wmca,
    "hkbu-mars-v1": hkbu_v1, "hkbu-mars-v2": hkbu_v2, "wffd": wffd, "rose-youtu": rose, "ffhq": ffhq,
}  # fmt: skip


def found(name: str, root: Path) -> Mapping[str, Found]:
    if name == "msu-mfsd":
        (root / "train_sub_list.txt").write_text("".join(f"{number:02}\n" for number in range(1, 16)))
        (root / "test_sub_list.txt").write_text("".join(f"{number:02}\n" for number in range(16, 36)))
    lists = {path.name: 1 for path in root.iterdir()}
    taken = ingest(open_table(name), name, root, dict.fromkeys(LISTS[name](), 1) | lists)
    assert not taken.unknown
    return {path: one for path, (one, _) in taken.files.items()}


def agrees(stated: Published, files: Iterable[Found]) -> None:
    some = [one.labels for one in files if stated.split in (None, one.labels.split)]
    labels = Counter(one.label for one in some)
    families = Counter(one.attack_family for one in some)
    people = {one.subject for one in some if not one.subject_is_pseudo}
    have = {"files": len(some), "live": labels["live"], "spoof": labels["spoof"], "subjects": len(people)}
    for what, count in stated.model_dump(exclude={"split", "families"}, exclude_none=True).items():
        assert have[what] == count, f"{stated.split}: {what}"
    assert {name: families[name] for name in stated.families} == stated.families


@pytest.mark.parametrize("name", LISTS)
def test_counts_are_the_published_ones(name: str, tmp_path: Path) -> None:
    files = found(name, tmp_path)
    assert open_table(name).published
    for stated in open_table(name).published:
        agrees(stated, files.values())


@pytest.mark.parametrize(
    ("split", "sessions", "live", "spoof"), [("train", "12", 240, 960), ("dev", "12", 180, 720), ("test", "3", 120, 480)]
)
def test_protocol_1_of_oulu_npu(tmp_path: Path, split: str, sessions: str, live: int, spoof: int) -> None:
    labels = [one.labels for one in found("oulu-npu", tmp_path).values()]
    counts = Counter(one.label for one in labels if one.split == split and one.session in sessions)
    assert counts == {"live": live, "spoof": spoof}


def test_casia_fasd_keeps_its_fifty_people_apart(tmp_path: Path) -> None:
    by_split: dict[str | None, set[str | None]] = {}
    for one in found("casia-fasd", tmp_path).values():
        by_split.setdefault(one.labels.split, set()).add(one.labels.subject)
    assert not by_split["train"] & by_split["test"]
    assert by_split["train"] | by_split["test"] == {f"casia-fasd/{number}" for number in range(1, 51)}


PADISI = """m50101 25 glasses|m50102 36 glasses|m50103 55 glasses|m50104 24 glasses|m50201 56 print|m50301 71 fake_head
m50401 27 mask_rigid|m50501 232 mask_rigid|m50601 206 makeup|m50701 33 mask_flexible|m50801 66 glasses|m50901 93 makeup
m00000 1105 -"""


def test_padisi_face_by_its_table_of_codes(tmp_path: Path) -> None:
    """The codes of a row of the published table are summed in one of them."""
    table = "transaction_id,trial_id,trial_name,ground_truth,participant_id\n"
    paths, wanted, number = [], Counter[str](), 0
    for entry in PADISI.replace("\n", "|").split("|"):
        code, count, family = entry.split()
        wanted["live" if family == "-" else family] += int(count)
        for _ in range(int(count)):
            table += f"a{number},b{number},NEUTRAL,{code},p{number % 300}\n"
            paths.append(f"ID_a{number}_b{number}_NEUTRAL.npz")
            number += 1
    (tmp_path / "padisi_USC_FACE_ground_truth.csv").write_text(table)
    paths.append("padisi_USC_FACE_ground_truth.csv")
    taken = ingest(open_table("padisi-face"), "padisi-face", tmp_path, dict.fromkeys(paths, 1))
    labels = [one.labels for one, _ in taken.files.values()]
    assert len(labels) == 2029
    assert Counter(one.attack_family or one.label for one in labels) == wanted
    agrees(open_table("padisi-face").published[0], [one for one, _ in taken.files.values()])
    assert [note for note in taken.notes if "split" in note]


def test_what_has_no_published_counts_is_known() -> None:
    """SiW-Mv2's authors state two; CelebA-Spoof's 625,537 pictures follow from no grammar."""
    assert {name for name in BUILT_IN if not open_table(name).published} == {"siw-mv2"}
    assert {name for name in BUILT_IN if name not in LISTS} == {"siw-mv2", "celeba-spoof", "padisi-face"}
