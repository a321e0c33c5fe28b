from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fasgen.sources.protocols import FAMILIES as FAMILY
from fasgen.sources.protocols import PROTOCOLS
from fasgen.sources.protocols.protocol import SIDES
from fasgen.sources.protocols.select import Sides, clips, select
from fasgen.sources.protocols.siw import ATTACKS
from fasgen.sources.protocols.wmca import FAMILIES
from tests.sources.protocols import listings

OULU = listings.table(listings.oulu_npu())
OCIM = {
    "O": "oulu-npu",
    "C": "casia-fasd",
    "I": "replay-attack",
    "M": "msu-mfsd",
}


def counts(sides: Sides) -> dict[str, tuple[int, int]]:
    return {side: (found["live"], found["spoof"]) for side, found in ((s, clips(t)) for s, t in sides.rows.items())}


@pytest.mark.parametrize(
    ("name", "train", "dev", "test"),
    [
        ("oulu-1", (240, 960), (180, 720), (120, 480)),
        ("oulu-2", (360, 720), (270, 540), (360, 720)),
        *[(f"oulu-3-{phone}", (300, 1200), (225, 900), (60, 240)) for phone in range(1, 7)],
        *[(f"oulu-4-{phone}", (200, 400), (150, 300), (20, 40)) for phone in range(1, 7)],
    ],
)
def test_published_counts_of_oulu_npu(name: str, train: tuple[int, int], dev: tuple[int, int], test: tuple[int, int]) -> None:
    """Clips, live and spoof, as the data set's paper has them."""
    sides = select(PROTOCOLS[name], OULU)
    assert counts(sides) == {"train": train, "dev": dev, "test": test}
    assert sides.missing == () and sides.shared == {} and set(sides.unknown.values()) == {0}


def test_what_is_unseen_in_oulu_4_is_unseen() -> None:
    rows = select(PROTOCOLS["oulu-4-3"], OULU).rows
    for column, held in (("session", {"3"}), ("device", {"phone-3"})):
        assert set(rows["test"][column].to_pylist()) == held
        assert not held & set(rows["train"][column].to_pylist()) and not held & set(rows["dev"][column].to_pylist())
    attacks = [set(rows[side].filter(pc.equal(rows[side]["label"], "spoof"))["attack_raw"].to_pylist()) for side in SIDES]
    assert attacks == [{"2", "4"}, {"2", "4"}, {"3", "5"}]


def test_clips_are_counted_not_frames() -> None:
    rows = listings.table(listings.oulu_npu(frames=2))
    sides = select(PROTOCOLS["oulu-1"], rows)
    assert sides.rows["train"].num_rows == 2 * 1200 and counts(sides)["train"] == (240, 960)


def test_leave_one_out_follows_ssdg() -> None:
    splits = {"train": 3, "dev": 2, "test": 4}
    rows = listings.table(
        *(listings.simple(one, splits) for one in ("oulu-npu", "replay-attack")),
        *(listings.simple(one, {"train": 3, "test": 4}) for one in ("casia-fasd", "msu-mfsd")),
    )
    for target, name in (("M", "oci-to-m"), ("C", "omi-to-c"), ("I", "ocm-to-i"), ("O", "icm-to-o")):
        sides = select(PROTOCOLS[name], rows)
        assert sides.missing == () and list(sides.rows) == ["train", "test"]
        assert set(sides.rows["test"]["dataset"].to_pylist()) == {OCIM[target]}
        assert set(sides.rows["train"]["dataset"].to_pylist()) == set(OCIM.values()) - {OCIM[target]}
        assert all("dev" not in table["split"].to_pylist() for table in sides.rows.values())
        assert counts(sides) == {"train": (21, 42), "test": (7, 14)}, "train and test splits are merged"
    for name, target in (("mi-to-c", "casia-fasd"), ("mi-to-o", "oulu-npu")):
        sides = select(PROTOCOLS[name], rows)
        assert set(sides.rows["train"]["dataset"].to_pylist()) == {"msu-mfsd", "replay-attack"}
        assert set(sides.rows["test"]["dataset"].to_pylist()) == {target}


def test_ssdg_trains_on_one_frame_and_tests_on_two() -> None:
    rows = listings.table(*(listings.simple(one, {"train": 3, "test": 4}) for one in OCIM.values()))

    def sides(name: str, count: int) -> Sides:
        frames = pa.array([k for k in range(count) for _ in range(rows.num_rows)], pa.int32())
        many = pa.concat_tables([rows] * count)
        at = many.column_names.index("frame_k") if "frame_k" in many.column_names else None
        many = many.append_column("frame_k", frames) if at is None else many.set_column(at, "frame_k", frames)
        return select(PROTOCOLS[name], many)

    two = sides("oci-to-m", 2)
    assert not two.missing and set(two.rows["train"]["frame_k"].to_pylist()) == {0}
    assert set(two.rows["test"]["frame_k"].to_pylist()) == {0, 1}
    ten = sides("oci-to-m", 10)
    assert ten.rows["train"].num_rows == two.rows["train"].num_rows and ten.rows["test"].num_rows == two.rows["test"].num_rows
    assert len(ten.missing) == 4 and all("policy: ssdg" in complaint for complaint in ten.missing)
    agfas = sides("oci-to-m-10", 10)
    assert not agfas.missing and set(agfas.rows["train"]["frame_k"].to_pylist()) == set(range(10))
    assert {one: len(FAMILY[one]) for one in ("ocim", "ocim-10", "limited", "oulu-3", "oulu-4", "siw-2", "siw-3", "siw-m")} == {
        "ocim": 4, "ocim-10": 4, "limited": 2, "oulu-3": 6, "oulu-4": 6, "siw-2": 4, "siw-3": 2, "siw-m": 13,
    }  # fmt: skip


def test_siw() -> None:
    rows = listings.table(listings.siw())
    assert counts(select(PROTOCOLS["siw-1"], rows)) == {"train": (90, 540), "test": (75, 450)}
    for medium in range(1, 5):
        sides = select(PROTOCOLS[f"siw-2-{medium}"], rows)
        assert counts(sides) == {"train": (90, 270), "test": (75, 75)} and not sides.missing
        assert f"3-{medium}" not in sides.rows["train"]["attack_raw"].to_pylist()
    assert counts(select(PROTOCOLS["siw-3-1"], rows)) == {"train": (90, 180), "test": (75, 300)}
    assert counts(select(PROTOCOLS["siw-3-2"], rows)) == {"train": (90, 360), "test": (75, 150)}


def test_the_first_sixty_frames_of_siw_1() -> None:
    """Known from align's manifest; without it whole clips are taken and that is said."""
    rows = listings.table(listings.siw())
    unknown = select(PROTOCOLS["siw-1"], rows)
    assert len(unknown.missing) == 1 and "first 60 frames" in unknown.missing[0] and "630 rows" in unknown.missing[0]
    frames = pa.array([59 if number % 2 else 60 for number in range(rows.num_rows)], pa.int32())
    sides = select(PROTOCOLS["siw-1"], rows.set_column(rows.column_names.index("frame"), "frame", frames))
    assert set(sides.rows["train"]["frame"].to_pylist()) == {59} and set(sides.rows["test"]["frame"].to_pylist()) == {59, 60}
    assert sides.missing == ()


def test_siw_m_leaves_each_attack_out() -> None:
    rows = listings.table(listings.siw_m())
    assert len(ATTACKS) == 13
    tested = 0
    for name, kinds in ATTACKS.items():
        sides = select(PROTOCOLS[f"siw-m-{name}"], rows)
        assert not sides.missing and not sides.shared
        train, test = counts(sides)["train"], counts(sides)["test"]
        assert (train[0], test[0]) == (528, 132) and train[1] + test[1] == 968
        assert set(sides.rows["test"]["attack_type"].to_pylist()) == {None, *kinds}
        tested += test[1]
    assert tested == 968, "each attack is left out once"


def test_the_open_set_of_siw_m_tests_what_is_known_too() -> None:
    """The split of attacks comes from lists: of every kind four of five train here, as live do."""
    rows = listings.table(listings.siw_m())
    stems = [path.rpartition("_")[2][:-4] for path in rows["path"].to_pylist()]
    splits = ["test" if int(number) % 5 == 0 else "train" for number in stems]
    split = select(PROTOCOLS["siw-m-known"], rows.set_column(rows.column_names.index("split"), "split", pa.array(splits)))
    whole = counts(split)
    assert whole["train"][0] == 528 and whole["test"][0] == 132 and whole["train"][1] + whole["test"][1] == 968
    listed = rows.set_column(rows.column_names.index("split"), "split", pa.array(splits))
    for name, kinds in ATTACKS.items():
        sides = select(PROTOCOLS[f"siw-m-open-{name}"], listed)
        assert counts(sides)["test"] == whole["test"] and not sides.missing
        assert not set(kinds) & set(sides.rows["train"]["attack_type"].to_pylist())
        assert set(kinds) <= set(sides.rows["test"]["attack_type"].to_pylist())
    without = select(PROTOCOLS["siw-m-known"], rows)
    assert any("no spoof rows" in one or "have no split" in one for one in without.missing)


def test_wmca() -> None:
    rows = listings.table(listings.wmca())
    sides = select(PROTOCOLS["wmca-grandtest"], rows)
    assert counts(sides) == dict.fromkeys(SIDES, (4, 28)) and not sides.missing and not sides.shared
    for name, family in FAMILIES.items():
        sides = select(PROTOCOLS[f"wmca-{name}"], rows)
        assert counts(sides) == {"train": (4, 24), "dev": (4, 24), "test": (4, 4)}
        assert set(sides.rows["test"]["attack_family"].to_pylist()) == {None, family}
        for side in ("train", "dev"):
            assert not {family, "makeup"} & set(sides.rows[side]["attack_family"].to_pylist())


def test_wmca_without_its_lists_is_missing_them() -> None:
    sides = select(PROTOCOLS["wmca-grandtest"], listings.table(listings.wmca(splits=False)))
    assert counts(sides) == dict.fromkeys(SIDES, (0, 0))
    assert len(sides.missing) == 3 and "108 rows of wmca have no split" in sides.missing[0] and "--lists" in sides.missing[0]


def test_wmca_and_padisi() -> None:
    rows = listings.table(listings.wmca(), listings.simple("padisi-face", {"train": 5, "dev": 2, "test": 3}))
    there, back = select(PROTOCOLS["wmca-to-padisi"], rows), select(PROTOCOLS["padisi-to-wmca"], rows)
    assert counts(there) == {"train": (4, 28), "dev": (4, 28), "test": (10, 20)}
    assert counts(back) == {"train": (5, 10), "dev": (2, 4), "test": (4, 28)}


def test_celeba_spoof() -> None:
    rows = listings.table(
        listings.simple("celeba-spoof", {"train": 5, "test": 3}), listings.simple("casia-fasd", {"train": 2, "test": 3})
    )
    assert counts(select(PROTOCOLS["celeba-spoof-intra"], rows)) == {"train": (5, 10), "test": (3, 6)}
    assert counts(select(PROTOCOLS["celeba-spoof-to-casia"], rows)) == {"train": (5, 10), "test": (5, 10)}


def test_what_is_missing_is_said() -> None:
    rows = listings.table(listings.oulu_npu())
    [no_dataset, *_] = select(PROTOCOLS["celeba-spoof-intra"], rows).missing
    assert no_dataset.startswith("train: no rows of celeba-spoof") and "--as celeba-spoof=NAME" in no_dataset
    without = rows.filter(pc.not_equal(rows["session"], "3"))
    assert select(PROTOCOLS["oulu-1"], without).missing == ("test: oulu-npu has no rows with session 3 (it has 1, 2)",)
    unlabelled = rows.drop_columns("session")
    assert any("no column session: ingest oulu-npu anew" in one for one in select(PROTOCOLS["oulu-1"], unlabelled).missing)
    live = rows.filter(pc.equal(rows["label"], "live"))
    assert "train: oulu-npu has no spoof rows there" in select(PROTOCOLS["oulu-2"], live).missing
    assert select(PROTOCOLS["oulu-2"], rows.filter(pc.not_equal(rows["attack_raw"], "5"))).missing == (
        "test: oulu-npu has no spoof rows with attack_raw 5 (it has 2, 3, 4)",
    )


def test_subjects_on_two_sides_are_named() -> None:
    """CASIA's numbers start anew in the test folder: without the shift two people become one."""
    rows = listings.table(
        [
            listings.row("celeba-spoof", f"{split}/7/{label}.png", "7", label, split=split)
            for split in ("train", "test")
            for label in ("live", "spoof")
        ],
        [listings.row("celeba-spoof", "train/x.png", None, "live", split="train")],
    )
    sides = select(PROTOCOLS["celeba-spoof-intra"], rows)
    assert sides.shared == {"celeba-spoof/7": ("train", "test")}
    assert sides.unknown == {"train": 1, "test": 0}


def test_names_are_unique_and_each_protocol_is_whole() -> None:
    assert len(PROTOCOLS) == 2 * (4 + 2) + 14 + 7 + 13 + 10 + 2 + 3 + 14 + 5
    for name, protocol in PROTOCOLS.items():
        assert name == protocol.name and protocol.about and protocol.train and protocol.test
