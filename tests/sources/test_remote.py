"""Sources at addresses: listed, decoded and grown as folders are, from a server."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fasgen.errors import SourceError
from fasgen.remote.path import RemotePath
from fasgen.sources.config import Limits, SourceConfig
from fasgen.sources.decode import Decoder, SampleError
from fasgen.sources.scan import Scan, scan
from tests.s3 import serving

fsspec = pytest.importorskip("fsspec")

PATTERN = r"^(?P<label>live|spoof)/(?P<subject>[^/]+)/"


@pytest.fixture(params=["memory", "s3"])
def there(request: pytest.FixtureRequest) -> Iterator[RemotePath]:
    if request.param == "s3":
        with serving("faces") as bucket:
            yield RemotePath(bucket) / "in"
    else:
        name = request.node.name.partition("[")[0]
        yield RemotePath(f"memory://{name}")
        fsspec.filesystem("memory").rm(f"/{name}", recursive=True)


def put(folder: Path, there: RemotePath) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            (there / file.relative_to(folder).as_posix()).write(file)


def rows(found: Scan) -> list[dict[str, Any]]:
    return [row.as_dict() for row in found]


@pytest.fixture
def faces(tmp_path: Path, picture: Any, encode: Callable[..., bytes], numbered: Callable[..., Path]) -> Path:
    folder = tmp_path / "faces"
    for name in ("live/anna", "spoof/ben", "live/.hidden"):
        (folder / name).mkdir(parents=True)
    (folder / "live/anna/1.png").write_bytes(encode(picture, "PNG"))
    (folder / "live/anna/empty.png").write_bytes(b"")
    (folder / "spoof/ben/ü 2.jpg").write_bytes(encode(picture, "JPEG"))
    (folder / "live/.hidden/3.png").write_bytes(b"x")
    numbered(folder / "spoof/ben/clip.avi", 12)
    return folder


def test_a_folder_and_its_address_have_the_same_rows_and_pixels(faces: Path, there: RemotePath) -> None:
    put(faces, there)
    config = SourceConfig(name="d", path=faces, pattern=PATTERN, frames=4)
    far = config.model_copy(update={"path": there})
    assert SourceConfig(name="d", path=str(there), pattern=PATTERN, frames=4) == far
    here, found = scan(config), scan(far)
    assert rows(here) == rows(found) and here.skipped == found.skipped
    one, other = Decoder(faces, sampling=config.frames), Decoder(there, sampling=config.frames)
    for row in here:
        try:
            pixels, values = one.read(row)
        except SampleError as error:
            with pytest.raises(SampleError, match=error.reason.value):
                other.read(row)
            continue
        again, same = other.read(row)
        assert np.array_equal(pixels, again) and values == same
        if row.kind == "video":
            near, far_near = one.nearby(row, values), other.nearby(row, values)
            assert near and far_near and [index for index, _ in near()] == [index for index, _ in far_near()]
    with pytest.raises(SampleError, match=r"too_large: \d+ bytes, more than max_bytes = 100"):
        Decoder(there, Limits(max_bytes=100)).read(found.files[0].row(None))


def test_what_changes_is_told_by_what_the_server_says(faces: Path, there: RemotePath) -> None:
    put(faces, there)
    config = SourceConfig(name="d", path=there, label="live")
    before = {file.path: file.stamp for file in scan(config).files}
    assert before == {file.path: file.stamp for file in scan(config).files}
    (there / "live/anna/1.png").write((faces / "spoof/ben/ü 2.jpg").read_bytes())
    after = {file.path: file.stamp for file in scan(config).files}
    assert {name for name in before if before[name] != after[name]} == {"live/anna/1.png"}
    hashed = config.model_copy(update={"hash": True})
    assert all(len(str(file.stamp)) == 64 for file in scan(hashed).files)


def test_tables_and_tars(faces: Path, there: RemotePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(faces, there)
    table = f"Path;Label;Subject\nlive/anna/1.png;spoof;carl\n{there}/spoof/ben/ü 2.jpg;live;007\n"
    (there / "lists/t.csv").write(table.encode("utf-16"))
    found = scan(SourceConfig(name="d", path=there, table=there / "lists/t.csv", table_only=True))
    assert [(row.path, row.label, row.subject) for row in found] == [
        ("live/anna/1.png", "spoof", "d/carl"),
        ("spoof/ben/ü 2.jpg", "live", "d/007"),
    ]
    (there / "lists/bad.csv").write(b"path\ns3://elsewhere/x.png\n")
    with pytest.raises(SourceError, match="is not a path below"):
        scan(SourceConfig(name="d", path=there, table=there / "lists/bad.csv"))
    with pytest.raises(SourceError, match="cannot be read"):
        scan(SourceConfig(name="d", path=there, table=there / "lists/none.csv"))
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in (
            ("a.jpg", (faces / "spoof/ben/ü 2.jpg").read_bytes()),
            ("a.json", json.dumps({"label": "live", "subject": "s"}).encode()),
            ("b.bin", bytes(6 << 20)),
            ("c.avi", (faces / "spoof/ben/clip.avi").read_bytes()),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (there / "tars/0.tar").write(stream.getvalue())
    source = SourceConfig(name="w", path=there / "tars", adapter="webdataset", frames=2)
    whole = scan(source)
    assert [(row.path, row.label) for row in whole if row.path != "0.tar/b.bin"] == [
        ("0.tar/a.jpg", "live"),
        ("0.tar/c.avi", "unknown"),
        ("0.tar/c.avi", "unknown"),
    ]
    decoder = Decoder(there / "tars", sampling=source.frames)
    pixels = [decoder.read(row)[0] for row in whole if row.path != "0.tar/b.bin"]
    assert pixels[0].shape == (48, 64, 3) and pixels[1].shape == (240, 320, 3)
    with pytest.raises(SourceError, match="adapter siw reads lists and boxes beside the files from a disk"):
        scan(SourceConfig(name="d", path=there, adapter="siw"))
    with pytest.raises(SourceError, match="does not exist"):
        scan(SourceConfig(name="d", path=there / "nowhere", label="live"))


def test_what_cannot_be_fetched_is_no_picture(faces: Path, there: RemotePath) -> None:
    put(faces, there)
    found = scan(SourceConfig(name="d", path=there, label="live"))
    (there / "live/anna/1.png").remove()
    with pytest.raises(SampleError, match="unreadable: No such file"):
        Decoder(there).read(found.files[0].row(None))
