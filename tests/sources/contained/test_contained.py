"""Pixels inside HDF5, npz, joblib and tar: the right ones, or a reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sys
import tarfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import h5py
import joblib
import numpy as np
import pytest

from fasgen.errors import SourceError
from fasgen.records import Reason
from fasgen.sources.config import Limits, SourceConfig
from fasgen.sources.contained import Contained
from fasgen.sources.decode import Decoder
from fasgen.sources.failure import SampleError
from fasgen.sources.rows import SourceRow
from fasgen.sources.scan import scan

from ..adapters.miniatures import padisi_face, wmca, writing

LIMITS = Limits()


def reason(decoder: Decoder, row: SourceRow) -> tuple[Reason, str]:
    with pytest.raises(SampleError) as caught:
        decoder.read(row)
    return caught.value.reason, caught.value.detail


def test_frames_of_hdf5(tmp_path: Path) -> None:
    wmca.make(tmp_path)
    rows = [
        row
        for row in scan(SourceConfig(name="w", path=tmp_path, adapter="wmca", frames=2))
        if row.path.startswith("035_01_000_0_00")
    ]
    decoder = Decoder(tmp_path)
    got = [decoder.read(row) for row in rows]
    assert [values["frame"] for _, values in got] == [1, 3]
    assert [image[0, 0].tolist() for image, _ in got] == [[50, 0, 0], [150, 0, 0]]


def test_hdf5_that_cannot_be_read(tmp_path: Path) -> None:
    name = "035_01_000_0_00.h5"
    with h5py.File(tmp_path / name, "w") as file:
        file["color"] = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8)
    whole = (tmp_path / name).read_bytes()
    (row,) = scan(SourceConfig(name="w", path=tmp_path, adapter="wmca", frames=1))
    for data, expected in ((b"", Reason.EMPTY_FILE), (whole[: len(whole) // 2], Reason.CORRUPT), (b"x" * 999, Reason.CORRUPT)):
        (tmp_path / name).write_bytes(data)
        assert reason(Decoder(tmp_path), row)[0] is expected
    with h5py.File(tmp_path / name, "w") as file:
        file["depth"] = np.zeros((4, 64, 64), np.uint16)
    assert reason(Decoder(tmp_path), row) == (Reason.NOT_MEDIA, "HDF5: one data set of colour frames was expected, found none")
    (tmp_path / name).unlink()
    assert reason(Decoder(tmp_path), row)[0] is Reason.UNREADABLE


def test_without_the_extra_hdf5_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "035_01_000_0_00.h5", "w") as file:
        file["color"] = np.zeros((4, 64, 64, 3), np.uint8)
    (row,) = scan(SourceConfig(name="w", path=tmp_path, adapter="wmca", frames=1))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SourceError, match=r'pip install "fasgen\[hdf5\]"'):
        Decoder(tmp_path).read(row)


def test_frames_that_lie_apart_and_channels_first(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "035_01_000_0_00.h5", "w") as file:
        for number in range(11):
            file[f"Frame_{number}/array"] = np.full((3, 32, 32), number, np.uint8)
    (row,) = scan(SourceConfig(name="w", path=tmp_path, adapter="wmca", frames=1))
    image, values = Decoder(tmp_path).read(row)
    assert values["frame"] == 5
    assert image[0, 0].tolist() == [5, 5, 5]


def test_hdf5_that_unpacks_to_more_than_it_may_is_not_unpacked(tmp_path: Path) -> None:
    for number, shape in enumerate(((2, 40_000, 60_000, 3), (300_000, 32, 32, 3))):
        # Nothing of it is written: a few kilobytes stand for gigabytes.
        with h5py.File(tmp_path / f"03{number}_01_000_0_00.h5", "w") as file:
            file.create_dataset("color", shape, np.uint8, chunks=(1, 32, 32, 3), compression="gzip")
    for row in scan(SourceConfig(name="w", path=tmp_path, adapter="wmca", frames=1)):
        assert reason(Decoder(tmp_path), row)[0] is Reason.TOO_LARGE
    (tmp_path / "apart").mkdir()
    with h5py.File(tmp_path / "apart/030_01_000_0_00.h5", "w") as file:
        file.create_dataset("Frame_0/array", (3, 40_000, 60_000), np.uint8, chunks=(3, 32, 32), compression="gzip")
    (row,) = scan(SourceConfig(name="w", path=tmp_path / "apart", adapter="wmca", frames=1))
    assert reason(Decoder(tmp_path / "apart"), row)[0] is Reason.TOO_LARGE


def test_hdf5_whose_frames_are_elsewhere_or_cost_more_than_they_are(tmp_path: Path) -> None:
    name, said = "035_01_000_0_00.h5", {}
    (tmp_path / "secret").write_bytes(bytes(2 * 64 * 64 * 3))
    layout = h5py.VirtualLayout(shape=(2, 64, 64, 3), dtype="u1")
    layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "rgb", shape=(2, 64, 64, 3))
    outside = [(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
    makers = {
        "virtual": lambda file: file.create_virtual_dataset("rgb", layout),
        "external": lambda file: file.create_dataset("rgb", shape=(2, 64, 64, 3), dtype="u1", external=outside),
        "link": lambda file: file.__setitem__("rgb", h5py.ExternalLink(str(tmp_path / "other.h5"), "rgb")),
        "type": lambda file: file.create_dataset("rgb", shape=(2, 64, 64, 3), dtype="S1000000", chunks=(1, 64, 64, 3)),
        "chunk": lambda file: file.create_dataset(
            "rgb", shape=(30000, 64, 64, 3), dtype="u1", chunks=(30000, 64, 64, 3), compression="gzip"
        ),
        "deep": lambda file: file.create_group("/".join("g" * 20)),
    }
    for kind, make in makers.items():
        (tmp_path / kind).mkdir()
        with h5py.File(tmp_path / kind / name, "w") as file:
            make(file)
        with pytest.raises(SampleError) as caught:
            Contained(tmp_path / kind, Limits()).read("hdf5:rgb", name, lambda count: 0)
        said[kind] = f"{caught.value}"
    assert said["virtual"] == said["external"] and "lie in other files" in said["virtual"]
    assert "expected, found none" in said["link"] and "no type of levels" in said["type"]
    assert said["chunk"] == "too_large: HDF5: chunks of 368640000 bytes" and "16 deep" in said["deep"]


def test_a_joblib_archive_of_pictures_that_are_too_large(tmp_path: Path) -> None:
    archive(tmp_path)
    row = next(iter(scan(SourceConfig(name="p", path=tmp_path, adapter="padisi-face"))))
    assert reason(Decoder(tmp_path, Limits(max_pixels=16)), row)[0] is Reason.TOO_LARGE


def archive(root: Path) -> None:
    data = np.stack([padisi_face.picture(number) for number in range(16)])
    codes = [said[0] for said in padisi_face.SAID]
    held = {"data": data, "identifiers": padisi_face.NAMES, "labels": [code != "m00000" for code in codes], "pai_codes": codes}
    root.mkdir(parents=True, exist_ok=True)
    joblib.dump(held, root / "padisi_USC_FACE_preprocessed.bz2", compress=("bz2", 1))


def test_a_joblib_archive_is_the_same_as_its_files(tmp_path: Path) -> None:
    archive(tmp_path)
    padisi_face.tables(tmp_path)
    rows = scan(SourceConfig(name="padisi-face", path=tmp_path, adapter="padisi-face"))
    wanted = padisi_face.rows("padisi_USC_FACE_preprocessed.bz2/", "").splitlines()
    assert [f"{row.path} {row.subject}".replace("padisi-face/", "") for row in rows] == [
        " ".join(one.split()[:2]) for one in wanted
    ]
    decoder = Decoder(tmp_path)
    forwards = [decoder.read(row)[0] for row in rows]
    backwards = [decoder.read(row)[0] for row in rows[::-1]][::-1]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    numbers = [padisi_face.NAMES.index(row.path.rpartition("/")[2]) for row in rows]
    assert [image[0, 0].tolist() for image in forwards] == [[round(number / 16 * 255), 128, 0] for number in numbers]


def test_an_archive_without_tables_says_codes_itself(tmp_path: Path) -> None:
    archive(tmp_path)
    found = scan(SourceConfig(name="p", path=tmp_path, adapter="padisi-face"))
    assert {row.attack_raw for row in found} == {None, *(said[0] for said in padisi_face.SAID[1:])}
    assert {row.subject for row in found} == {None}
    assert any("participants" in note for note in found.notes)


class Stranger:
    pass


def test_an_archive_that_asks_for_more_is_refused(tmp_path: Path) -> None:
    joblib.dump({"data": Stranger()}, tmp_path / "FACE.bz2", compress=("bz2", 1))
    with pytest.raises(SourceError, match=r"is a pickle that is not opened: it asks for .*Stranger.* as \.npz files"):
        scan(SourceConfig(name="p", path=tmp_path, adapter="padisi-face"))


def test_npz_that_cannot_be_read(tmp_path: Path) -> None:
    name = "ID_a_b_c.npz"
    np.savez(tmp_path / name, np.zeros((3, 32, 32), np.float32))
    whole = (tmp_path / name).read_bytes()
    (row,) = scan(SourceConfig(name="p", path=tmp_path, adapter="padisi-face"))
    for data, expected in ((b"", Reason.EMPTY_FILE), (whole[:-40], Reason.CORRUPT), (b"x" * 99, Reason.CORRUPT)):
        (tmp_path / name).write_bytes(data)
        assert reason(Decoder(tmp_path), row)[0] is expected
    for array, expected in (
        (np.array([Stranger()], dtype=object), Reason.CORRUPT),
        (np.full((3, 32, 32), np.nan), Reason.CORRUPT),
        (np.full((3, 32, 32), 200.0), Reason.CORRUPT),
        (np.zeros((2, 32, 32)), Reason.NOT_MEDIA),
        (np.zeros(9), Reason.NOT_MEDIA),
        (np.zeros((3, 8, 8)), Reason.TOO_SMALL),
    ):
        np.savez(tmp_path / name, array)
        assert reason(Decoder(tmp_path), row)[0] is expected


def tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))


def odd_tar(kind: bytes) -> bytes:
    """A picture, and behind it a header of this kind that says 8 GiB."""
    stream, data = io.BytesIO(), writing.picture("jpg")
    with tarfile.open(fileobj=stream, mode="w") as made:
        member = tarfile.TarInfo("a/1.jpg")
        member.size = len(data)
        made.addfile(member, io.BytesIO(data))
        end = made.offset
    more = tarfile.TarInfo("x")
    more.size, more.type = 1 << 33, kind
    return stream.getvalue()[:end] + more.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


@pytest.mark.parametrize(
    "kind, told",
    [
        (tarfile.XHDTYPE, "an extended header of 8589934592 bytes"),
        (tarfile.XGLTYPE, "an extended header of 8589934592 bytes"),
        (tarfile.GNUTYPE_LONGNAME, "an extended header of 8589934592 bytes"),
        (tarfile.GNUTYPE_SPARSE, "a member with holes"),
    ],
)
def test_a_tar_takes_no_memory_for_what_a_header_says(tmp_path: Path, kind: bytes, told: str) -> None:
    # 8 GiB that lie on no disk: what reads them would take them into memory.
    with (tmp_path / "x.tar").open("wb") as stream:
        stream.write(odd_tar(kind))
        stream.truncate(1 << 34)
    tracemalloc.start()
    found = scan(SourceConfig(name="w", path=tmp_path, adapter="webdataset"))
    decoded = Decoder(tmp_path).read(found[0])[0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [row.path for row in found] == ["x.tar/a/1.jpg"] and decoded.shape == (24, 32, 3) and peak < 1 << 25
    assert told in next(one.what for one in found.odd if one.kind == "cut")


def test_a_sparse_member_of_the_new_kind_is_told(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as made:
        for name, more in (("1.jpg", {}), ("2.jpg", {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"})):
            member = tarfile.TarInfo(name)
            member.size, member.pax_headers = len(data := writing.picture("jpg")), more
            made.addfile(member, io.BytesIO(data))
    (tmp_path / "x.tar").write_bytes(stream.getvalue())
    found = scan(SourceConfig(name="w", path=tmp_path, adapter="webdataset"))
    assert [row.path for row in found] == ["x.tar/1.jpg"]
    assert "pack it without --sparse" in next(one.what for one in found.odd if one.kind == "cut")


@pytest.mark.parametrize("packer, name", [(gzip, "gzip"), (bz2, "bzip2"), (lzma, "xz")])
def test_a_compressed_tar_under_a_plain_name_is_named_and_not_unpacked(tmp_path: Path, packer: Any, name: str) -> None:
    tar(tmp_path / "x-000.tar", [("a/1.jpg", writing.picture("jpg"))])
    (tmp_path / "bomb.tar").write_bytes(packer.compress(bytes(1 << 24)))
    found = scan(SourceConfig(name="w", path=tmp_path, adapter="webdataset"))
    assert found.unknown == {"bomb.tar": f"not_media: is compressed by {name}, in which no member can be found: unpack it"}


RED, BLUE = (bytes(cv2.imencode(".png", np.full((24, 32, 3), colour, np.uint8))[1]) for colour in ((0, 0, 255), (255, 0, 0)))


@pytest.mark.parametrize(
    "members, label, colour, doubled",
    [
        # What a tar holds twice is what it holds last, of picture and labels alike.
        ([("1.png", RED), ("1.cls", b"live"), ("1.png", BLUE), ("1.cls", b"spoof")], "spoof", 2, ["x.tar/1.png (2 times)"]),
        ([("1.png", RED), ("1.png", RED), ("1.png", BLUE), ("1.cls", b"live")], "live", 2, ["x.tar/1.png (3 times)"]),
        ([("1.png", RED), ("1.json", b'{"label": "live"}'), ("1.json", b'{"label": "spoof"}')], "spoof", 0, []),
        ([("1.cls", b"live"), ("1.png", BLUE), ("1.png", RED)], "live", 0, ["x.tar/1.png (2 times)"]),
    ],
)
def test_what_a_tar_holds_twice(tmp_path: Path, members: Any, label: str, colour: int, doubled: list[str]) -> None:
    tar(tmp_path / "x.tar", members)
    found = scan(SourceConfig(name="w", path=tmp_path, adapter="webdataset"))
    (row,) = found
    assert (row.path, row.label) == ("x.tar/1.png", label)
    assert Decoder(tmp_path).read(row)[0][0, 0].argmax() == colour
    told = [f"{each.path} ({each.why})" for one in found.odd if one.kind == "doubled" for each in one.examples]
    assert told == doubled


def test_one_key_in_two_tars_is_two_samples(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", [("1.png", RED), ("1.cls", b"live")])
    tar(tmp_path / "y.tar", [("1.png", BLUE), ("1.cls", b"spoof")])
    found = scan(SourceConfig(name="w", path=tmp_path, adapter="webdataset"))
    assert [(row.path, row.label) for row in found] == [("x.tar/1.png", "live"), ("y.tar/1.png", "spoof")]
    assert not [one for one in found.odd if one.kind == "doubled"]


@pytest.mark.parametrize("kept", [0, 1, 100, 511, 512])
def test_a_tar_that_is_cut_gives_what_lies_before(tmp_path: Path, kept: int) -> None:
    """``kept`` bytes of the second picture's header and content are there; the first is whole."""
    tar(tmp_path / "x.tar", [("1.png", RED), ("2.png", BLUE)])
    path = tmp_path / "x.tar"
    path.write_bytes(path.read_bytes()[: 512 + -(-len(RED) // 512) * 512 + kept])
    found = scan(SourceConfig(name="w", path=tmp_path, adapter="webdataset", label="live"))
    assert any(one.kind == "cut" for one in found.odd)
    assert found[0].path == "x.tar/1.png" and Decoder(tmp_path).read(found[0])[0][0, 0].argmax() == 0
    assert all(reason(Decoder(tmp_path), row)[0] is Reason.CORRUPT for row in found[1:])


def test_a_header_that_is_damaged_is_no_end(tmp_path: Path) -> None:
    tar(tmp_path / "x.tar", [("1.png", RED), ("2.png", BLUE), ("3.png", BLUE)])
    data = bytearray((tmp_path / "x.tar").read_bytes())
    second = 512 + -(-len(RED) // 512) * 512
    data[second + 150] ^= 1
    (tmp_path / "x.tar").write_bytes(data)
    found = scan(SourceConfig(name="w", path=tmp_path, adapter="webdataset", label="live"))
    assert [row.path for row in found] == ["x.tar/1.png"]
    assert f"no header at byte {second}" in next(one.what for one in found.odd if one.kind == "cut")


def test_a_webdataset(tmp_path: Path) -> None:
    jpg = writing.picture("jpg")
    first = [
        ("a/1.jpg", jpg),
        ("a/1.json", b'{"label": "live", "subject": 7, "session": "s2"}'),
        ("a/2.jpg", jpg),
        ("a/2.cls", b"1"),
    ]
    tar(tmp_path / "x-000.tar", first)
    tar(tmp_path / "x-001.tar", [("v.mp4", writing.video("mp4")), ("v.json", b'{"label": "attack", "attack_type": "replay"}')])
    tar(tmp_path / "x-002.tar", [("e.jpg", b""), ("n.jpg", b"no picture"), ("n.json", b"[")])
    (tmp_path / "cut.tar").write_bytes((tmp_path / "x-000.tar").read_bytes()[:700])
    writing.put(tmp_path, "more.tar.gz", data=b"\x1f\x8b")
    found = scan(SourceConfig(name="w", path=tmp_path, adapter="webdataset", frames=2, label_map={"1": "spoof"}))
    assert [(row.path, row.label, row.subject, row.attack_type, row.session) for row in found] == [
        ("cut.tar/a/1.jpg", "unknown", None, None, None),
        ("x-000.tar/a/1.jpg", "live", "w/7", None, "s2"),
        ("x-000.tar/a/2.jpg", "spoof", None, None, None),
        ("x-001.tar/v.mp4", "spoof", None, "replay", None),
        ("x-001.tar/v.mp4", "spoof", None, "replay", None),
        ("x-002.tar/e.jpg", "unknown", None, None, None),
        ("x-002.tar/n.jpg", "unknown", None, None, None),
    ]
    assert set(found.unknown) == {"more.tar.gz"}
    assert [one.what for one in found.odd if one.kind == "cut"] == ["1 archive cut short: 'cut.tar' (unexpected end of data)"]
    decoder = Decoder(tmp_path)
    cut, *found = found
    assert reason(decoder, cut)[0] is Reason.CORRUPT
    assert decoder.read(found[0])[0].shape == (24, 32, 3)
    assert [round(float(decoder.read(row)[0].mean()) / 60) for row in found[2:4]] == [1, 3]
    assert reason(decoder, found[4])[0] is Reason.EMPTY_FILE
    assert reason(decoder, found[5])[0] is Reason.NOT_MEDIA
    (tmp_path / "x-000.tar").write_bytes((tmp_path / "x-000.tar").read_bytes()[:600])
    assert reason(Decoder(tmp_path), found[1])[0] in (Reason.CORRUPT, Reason.UNREADABLE)
