"""The counts that authors state, from complete lists of files alone: the naming grammar of each set, written out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import cycle, islice, product
from pathlib import Path

import pyarrow as pa
import pytest

from fasgen.sources.adapters import open_table
from fasgen.sources.adapters.built_in import BUILT_IN
from fasgen.sources.adapters.engine import Found
from fasgen.sources.adapters.listing import ingest
from fasgen.sources.adapters.table import Published
from fasgen.sources.protocols import PROTOCOLS
from fasgen.sources.protocols.select import clips, select


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
    """Every name that the grammar allows, which are more than there are: who was filmed how often follows from no rule, so that
    of the published counts people alone are determined."""
    media = ("1-1", *(f"2-{medium}" for medium in (1, 2)), *(f"3-{medium}" for medium in range(1, 5)))
    for number, sensor, medium, session in product(range(1, 166), (1, 2), media, (1, 2)):
        split, kind = "Train" if number <= 90 else "Test", "live" if medium[0] == "1" else "spoof"
        yield f"{split}/{kind}/{number:03}/{number:03}-{sensor}-{medium}-{session}.mov"


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
    """As many clips a category as are published, over all its codes and 72 people.

    Not the true list: which person showed which instrument in which session follows from no rule. What is determined, and what
    this tests, is that every code of the table falls into its category, and that the categories sum up to the 1,679.
    """
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
    """Every name of its grammar with one index each. How many indices there are of which follows from no rule, so that of the
    published counts people alone are determined."""
    kinds, phones = ("G", "Ps", "Pq", "Vl", "Vm", "Mc", "Mf", "Mu"), ("HS", "HW", "5s", "IP", "ZTE")
    people = (*range(2, 8), *range(9, 19), *range(20, 24))
    for number, (person, kind, talks, phone, glasses) in enumerate(product(people, kinds, ("T", "NT"), phones, ("g", "wg"))):
        yield f"{person}/{kind}_{talks}_{phone}_{glasses}_E_{person}_{number}.mp4"


def ffhq() -> Iterable[str]:
    for number in range(70_000):
        yield f"images1024x1024/{number // 1000 * 1000:05}/{number:05}.png"


LISTS = {
    "msu-mfsd": msu, "casia-fasd": casia, "replay-attack": replay, "oulu-npu": oulu, "siw": siw, "siw-m": siw_m, "wmca": wmca,
    "hkbu-mars-v1": hkbu_v1, "hkbu-mars-v2": hkbu_v2, "wffd": wffd, "rose-youtu": rose, "ffhq": ffhq,
}  # fmt: skip


def empty(root: Path, name: str) -> Path:
    """A folder of its own for a set's lists."""
    (root / name).mkdir()
    return root / name


def found(name: str, root: Path) -> Mapping[str, Found]:
    if name == "msu-mfsd":
        (root / "train_sub_list.txt").write_text("".join(f"{number:02}\n" for number in range(1, 16)))
        (root / "test_sub_list.txt").write_text("".join(f"{number:02}\n" for number in range(16, 36)))
    lists = {path.name: 1 for path in root.iterdir()}
    taken = ingest(open_table(name), name, root, dict.fromkeys(LISTS[name](), 1) | lists)
    assert not taken.unknown
    return {path: one for path, (one, _) in taken.files.items()}


def listed(name: str, root: Path) -> pa.Table:
    """The rows that protocols are laid over, of every name of a set."""
    files = [(path, one.labels) for path, one in found(name, root).items()]
    columns = ("subject", "label", "device", "session", "split", "attack_raw")
    values = {column: pa.array([getattr(labels, column) for _, labels in files], pa.string()) for column in columns}
    paths = [path for path, _ in files]
    rows = pa.table(
        {**values, "path": paths, "sample_id": [f"{name}/{path}" for path in paths], "dataset": [name] * len(files)}
    )
    return rows.append_column("frame", pa.nulls(len(files), pa.int32()))


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


def test_every_code_of_wmca_is_met() -> None:
    """The pair of type and instrument decides: 61 pairs that are no makeup."""
    codes = {path[-7:-3] for path in wmca()}
    assert len(codes) == 3 + 8 + 9 + 7 + 4 + 26 + 12 + 21


def test_kinds_of_rose_youtu_and_siw(tmp_path: Path) -> None:
    """Equal numbers of each kind, as in the lists above: no kind is taken for another."""
    for name, wanted in (
        ("rose-youtu", {"live": 1, "print": 2, "replay": 2, "mask_paper": 3}), ("siw", {"live": 1, "print": 2, "replay": 4})
    ):  # fmt: skip
        files = found(name, tmp_path)
        counts = Counter(one.labels.attack_family or one.labels.label for one in files.values())
        assert counts == {kind: share * len(files) // sum(wanted.values()) for kind, share in wanted.items()}
        assert len({one.labels.subject for one in files.values()}) == {"rose-youtu": 20, "siw": 165}[name]


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


PADISI = """25 glasses m50101|36 glasses m50102|55 glasses m50103 m50105 m50106 m50107 m50109 m50110 m50111 m50112
24 glasses m50104 m50108|56 print m50201 m50202|71 fake_head m50301 m50302 m50303 m50304 m50305 m50306|27 mask_rigid m50401
232 mask_rigid m50501 m50502 m50503 m50504 m50505 m50506 m50507|206 makeup m50601 m50602 m50603 m50604|33 mask_flexible m50701
66 glasses m50801 m50802|93 makeup m50901|1105 - m00000"""


def test_padisi_face_by_its_table_of_codes(tmp_path: Path) -> None:
    """All codes; the published table counts some of them together, and these are dealt out evenly here."""
    table = "transaction_id,trial_id,trial_name,ground_truth,participant_id\n"
    paths, wanted, number = [], Counter[str](), 0
    for entry in PADISI.replace("\n", "|").split("|"):
        count, family, *codes = entry.split()
        wanted["live" if family == "-" else family] += int(count)
        for code in islice(cycle(codes), int(count)):
            table += f"a{number},b{number},NEUTRAL,{code},p{number % 300}\n"
            paths.append(f"ID_a{number}_b{number}_NEUTRAL.npz")
            number += 1
    (tmp_path / "padisi_USC_FACE_ground_truth.csv").write_text(table)
    paths.append("padisi_USC_FACE_ground_truth.csv")
    taken = ingest(open_table("padisi-face"), "padisi-face", tmp_path, dict.fromkeys(paths, 1))
    labels = [one.labels for one, _ in taken.files.values()]
    assert len(labels) == 2029 and not taken.unknown
    assert Counter(one.attack_family or one.label for one in labels) == wanted
    agrees(open_table("padisi-face").published[0], [one for one, _ in taken.files.values()])
    assert [note for note in taken.notes if "split" in note]


def test_protocols_of_oulu_npu_from_its_names(tmp_path: Path) -> None:
    """All 14 folds, as the data set's paper counts their clips, live and spoof, from names to sides."""
    rows = listed("oulu-npu", tmp_path)
    wanted = {
        "1": ((240, 960), (180, 720), (120, 480)), "2": ((360, 720), (270, 540), (360, 720)),
        "3": ((300, 1200), (225, 900), (60, 240)), "4": ((200, 400), (150, 300), (20, 40)),
    }  # fmt: skip
    folds = [name for name in PROTOCOLS if name.startswith("oulu-")]
    assert len(folds) == 14
    for name in folds:
        sides = select(PROTOCOLS[name], rows)
        counts = tuple((one["live"], one["spoof"]) for one in map(clips, sides.rows.values()))
        assert counts == wanted[name[5]] and not sides.missing and not sides.shared, name


def test_published_counts_between_casia_and_replay(tmp_path: Path) -> None:
    """60 + 180 clips train and 90 + 270 are tested of CASIA-FASD; 60 + 300, 60 + 300 and 80 + 400 of Replay-Attack."""
    rows = pa.concat_tables([listed(name, empty(tmp_path, name)) for name in ("casia-fasd", "replay-attack")])
    casia, devel, test = (60, 180), (60, 300), (80, 400)
    for name, wanted in {
        "casia-intra": {"train": casia, "test": (90, 270)},
        "replay-intra": {"train": (60, 300), "dev": devel, "test": test},
        "casia-to-replay": {"train": casia, "test": test},
        "replay-to-casia": {"train": (60, 300), "dev": devel, "test": (90, 270)},
    }.items():
        sides = select(PROTOCOLS[name], rows)
        counts = {side: (one["live"], one["spoof"]) for side, one in ((s, clips(t)) for s, t in sides.rows.items())}
        assert counts == wanted and not sides.missing and not sides.shared, name


def test_published_counts_of_ssdg(tmp_path: Path) -> None:
    """Clips without those of dev: 720 + 2,880 of OULU-NPU, 150 + 450 of CASIA-FASD, 140 + 700 of Replay-Attack, 70 + 210."""
    of = {"o": (720, 2880), "c": (150, 450), "i": (140, 700), "m": (70, 210)}
    names = ("oulu-npu", "casia-fasd", "replay-attack", "msu-mfsd")
    rows = pa.concat_tables([listed(name, empty(tmp_path, name)) for name in names])
    for fold in ("oci-to-m", "omi-to-c", "ocm-to-i", "icm-to-o", "mi-to-c", "mi-to-o"):
        sources, target = fold.split("-to-")
        sides = select(PROTOCOLS[fold], rows)
        counts = {side: clips(one) for side, one in sides.rows.items()}
        assert (counts["test"]["live"], counts["test"]["spoof"]) == of[target], fold
        assert counts["train"] == {k: sum(of[s][n] for s in sources) for n, k in enumerate(("live", "spoof"))}, fold


def test_what_has_no_published_counts_is_known() -> None:
    """SiW-Mv2's authors state several that differ; which of CelebA-Spoof's 10,177 people has how many of its 625,537 pictures
    follows from no rule, so that a list of that length would test its own making."""
    assert {name for name in BUILT_IN if not open_table(name).published} == {"siw-mv2"}
    assert {name for name in BUILT_IN if name not in LISTS} == {"siw-mv2", "celeba-spoof", "padisi-face"}
