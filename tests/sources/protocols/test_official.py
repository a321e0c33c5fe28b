"""The data sets' own lists, in the formats in which they ship, over listings as ingest makes them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from fasgen.errors import SourceError
from fasgen.sources.protocols import PROTOCOLS
from fasgen.sources.protocols.official import lists_in, read_lists
from fasgen.sources.protocols.select import Sides, clips, select
from tests.sources.protocols import listings


@pytest.fixture
def oulu(tmp_path: Path) -> Path:
    """``Protocols`` as OULU-NPU ships it: of protocols 1 and 2 a file a side, of 3 and 4 one a phone besides."""
    table = listings.table(listings.oulu_npu())
    for name, protocol in PROTOCOLS.items():
        if name.startswith("oulu-"):
            number, _, fold = name.removeprefix("oulu-").partition("-")
            for side, rows in select(protocol, table).rows.items():
                path = tmp_path / f"Protocols/Protocol_{number}/{side.title()}{f'_{fold}' if fold else ''}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                stems = {one["path"].rpartition("/")[2][:-4]: one for one in rows.to_pylist()}
                signs = {"1": "+1", "2": "-1", "3": "-1", "4": "-2", "5": "-2"}
                path.write_text("".join(f"{signs[stem[-1]]},{stem}\n" for stem in stems))
    return tmp_path / "Protocols"


def laid(name: str, folder: Path, table: pa.Table) -> Sides:
    return select(PROTOCOLS[name], table, read_lists(name, folder))


@pytest.mark.parametrize("name", ["oulu-1", "oulu-2", "oulu-3-4", "oulu-4-6"])
def test_lists_and_rules_of_oulu_npu_agree(oulu: Path, name: str) -> None:
    table = listings.table(listings.oulu_npu())
    by_lists, by_rules = laid(name, oulu, table), select(PROTOCOLS[name], table)
    assert by_lists.rows == by_rules.rows and not by_lists.missing and not by_lists.differences
    assert clips(by_lists.rows["test"]) == clips(by_rules.rows["test"])


def test_the_list_has_it_where_the_rules_differ(oulu: Path) -> None:
    table = listings.table(listings.oulu_npu())
    path = oulu / "Protocol_1/Test.txt"
    lines = path.read_text().splitlines()
    # One clip less, one of the held-out session's training people more, one label turned, one that nobody has.
    turned = lines[1].replace("+1", "-1") if lines[1].startswith("+") else "+1," + lines[1].partition(",")[2]
    path.write_text("\n".join(["+1,1_3_01_1", turned, *lines[2:], "+1,9_9_99_1"]) + "\n")
    sides = laid("oulu-1", oulu, table)
    assert sides.rows["test"].num_rows == 600 and "Train_files/1_3_01_1.avi" in sides.rows["test"]["path"].to_pylist()
    assert sides.missing == ("test: 1 of 601 files of its lists are not there, such as 9_9_99_1",)
    label, more, less = sides.differences
    assert (
        "label 1 files otherwise" in label and "have 1 files that the rules leave out" in more and "leave out 1 files" in less
    )
    assert sides.shared == {"oulu-npu/01": ("train", "test")}


def test_frames_of_siw(tmp_path: Path) -> None:
    """``_60`` behind a name means its first 60 frames; other names mean whole clips."""
    table = listings.table(listings.siw())
    frames = pa.array([59 if number % 2 else 60 for number in range(table.num_rows)], pa.int32())
    table = table.set_column(table.column_names.index("frame"), "frame", frames)
    paths = table["path"].to_pylist()
    for side in ("Train", "Test"):
        stems = [path.rpartition("/")[2][:-4] for path in paths if path.startswith(side)]
        suffix = "_60" if side == "Train" else ""
        (tmp_path / f"{side}_list.txt").write_text("".join(f"{stem}{suffix}\n" for stem in stems))
    sides = laid("siw-1", tmp_path, table)
    assert set(sides.rows["train"]["frame"].to_pylist()) == {59} and set(sides.rows["test"]["frame"].to_pylist()) == {59, 60}
    assert sides.missing == ()


def test_repeated_names_are_one_file(tmp_path: Path) -> None:
    """SiW-Mv2's lists repeat names to weigh them; without lists the protocol says that it needs them."""
    rows = [
        listings.row("siw-mv2", f"{folder}/{stem}_{number}.mov", f"{stem}_{number}", label)
        for folder, stem, label in (("Live", "Live", "live"), ("Spoof/Paper", "Paper", "spoof"))
        for number in range(4)
    ]
    table = listings.table(iter(rows))
    for name, text in (
        ("trainlist_live.txt", "Live_0\nLive_1\nLive_1\n"), ("trainlist_all.txt", "Paper_0\nPaper_0\n"),
        ("testlist_live.txt", "Live_2\n"), ("testlist_all.txt", "Paper_2\nPaper_3\n"),
    ):  # fmt: skip
        (tmp_path / name).write_text(text)
    sides = laid("siw-mv2-1", tmp_path, table)
    assert {side: clips(one) for side, one in sides.rows.items()} == {
        "train": {"live": 2, "spoof": 1}, "test": {"live": 1, "spoof": 2}
    }  # fmt: skip
    without = select(PROTOCOLS["siw-mv2-1"], table)
    assert "--lists" in without.missing[0] and not any(one.num_rows for one in without.rows.values())


def test_the_json_of_celeba_spoof(tmp_path: Path) -> None:
    rows = [
        listings.row("celeba-spoof", f"Data/{split}/{person}/{label}/00{number}.png", str(person), label, split=split)
        for split, person in (("train", 1), ("train", 2), ("test", 3))
        for number, label in enumerate(("live", "spoof"))
    ]
    for side, person in (("train", 2), ("test", 3)):
        some = {row["path"]: [0] * 44 for row in rows if f"/{person}/" in row["path"]}
        (tmp_path / f"{side}_label.json").write_text(json.dumps(some))
    sides = laid("celeba-spoof-1", tmp_path, listings.table(iter(rows)))
    assert {side: set(one["subject"].to_pylist()) for side, one in sides.rows.items()} == {
        "train": {"celeba-spoof/2"}, "test": {"celeba-spoof/3"}
    }  # fmt: skip


def test_what_are_no_lists_is_refused(oulu: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no list of oulu-3-1; Protocol_3/Train_1\.txt"):
        (empty := tmp_path / "empty").mkdir()
        read_lists("oulu-3-1", empty)
    with pytest.raises(SourceError, match=r"no list of oulu-2; Protocol_2/Train\.txt"):
        read_lists("oulu-2", oulu / "Protocol_1")
    assert list(read_lists("oulu-1", oulu / "Protocol_1")) == ["dev", "test", "train"]
    assert lists_in(oulu.parent, "oulu-4-1") == oulu and lists_in(oulu.parent, "siw-1") is None
    (tmp_path / "train_label.json").write_text("[1, 2")
    with pytest.raises(SourceError, match=r"train_label\.json: cannot be read"):
        read_lists("celeba-spoof-1", tmp_path)
    with pytest.raises(SourceError, match="of one data set"):
        select(PROTOCOLS["oci-to-m"], listings.table(listings.oulu_npu()), read_lists("oulu-1", oulu))
