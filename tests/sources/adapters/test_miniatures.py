"""Each data set in miniature becomes exactly the rows that it should, and its files decode."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from fasgen.errors import SourceError
from fasgen.sources.adapters.built_in import BUILT_IN
from fasgen.sources.config import Adapter, SourceConfig
from fasgen.sources.decode import Decoder
from fasgen.sources.rows import Scan, SourceRow
from fasgen.sources.scan import scan

from .miniatures.writing import put


def miniature(name: str) -> ModuleType:
    return import_module(f".miniatures.{name.replace('-', '_')}", __package__)


def listed(name: str, root: Path) -> Scan:
    return scan(SourceConfig(name=name, path=root, adapter=name, frames=1))  # type: ignore[arg-type]


def spelt(row: SourceRow, name: str) -> str:
    subject = (row.subject or "-").removeprefix(f"{name}/") + ("*" if row.subject_is_pseudo else "")
    said = (row.attack_family, row.attack_type, row.attack_raw, row.device, row.session, row.lighting, row.split, row.marks)
    return " ".join((row.path, subject, row.label, *(text or "-" for text in said)))


def test_the_names_of_the_configuration_are_the_adapters() -> None:
    assert set(Adapter.__args__) == {*BUILT_IN, "folder", "csv", "parquet", "webdataset"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", BUILT_IN)
def test_rows_are_those_of_the_table(name: str, tmp_path: Path) -> None:
    mini = miniature(name)
    mini.make(tmp_path)
    found = listed(name, tmp_path)
    assert [spelt(row, name) for row in found] == sorted(line for line in mini.ROWS.splitlines() if line)
    assert set(found.unknown) == mini.UNKNOWN
    for row in found:
        assert row.domain == f"{name}|{row.device or '?'}|{row.attack_type or row.label}"
        assert row.adapter == row.dataset == name
        assert row.licence != "unknown"
    decoder = Decoder(tmp_path)
    for row in {(row.container, row.path.rpartition(".")[2]): row for row in found}.values():
        image, _ = decoder.read(row)
        assert image.shape[2] == 3


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_wrong_root_is_answered_with_the_right_one(name: str, tmp_path: Path) -> None:
    root = tmp_path / "disk" / "set"
    miniature(name).make(root)
    with pytest.raises(SourceError, match="does not look like") as caught:
        listed("hkbu-mars-v1" if name != "hkbu-mars-v1" else "oulu-npu", root)
    assert "Expected:" in str(caught.value)
    assert "Found:" in str(caught.value)
    # WMCA's and PADISI's files fit wherever they lie.
    if name in ("wmca", "padisi-face"):
        assert len(listed(name, root.parent)) == len(listed(name, root))
        return
    with pytest.raises(SourceError, match=f"would fit: give {root}$"):
        listed(name, root.parent)


def test_a_folder_too_deep_is_answered_with_the_one_above(tmp_path: Path) -> None:
    miniature("casia-fasd").make(tmp_path)
    with pytest.raises(SourceError, match=f"from a folder above: give {tmp_path}$"):
        listed("casia-fasd", tmp_path / "train_release")


def test_the_rotated_clips_of_msu_mfsd_stand_upright(tmp_path: Path, rotate_mp4: Callable[[bytes, int], bytes]) -> None:
    """They say of themselves that they lie upside down; one that does not is left as it is."""
    writer = cv2.VideoWriter(str(tmp_path / "plain.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 25, (64, 48))
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:24] = 200
    writer.write(frame)
    writer.release()
    plain = (tmp_path / "plain.mp4").read_bytes()
    root = tmp_path / "msu"
    put(root, "scene01/real/real_client005_android_SD_scene01.mp4", data=rotate_mp4(plain, 180))
    put(root, "scene01/real/real_client022_android_SD_scene01.mp4", data=plain)
    rows = listed("msu-mfsd", root)
    turned, upright = (Decoder(root).read(row)[0] for row in rows)
    assert turned[:20].mean() < 30
    assert turned[-20:].mean() > 170
    assert upright[:20].mean() > 170
    assert len(rows.notes) == 2
