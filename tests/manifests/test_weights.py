"""A digest follows the bytes and names of what will be loaded, and nothing else."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from fasgen.errors import WeightsError
from fasgen.manifests.weights import digest_weights


def model(folder: Path) -> Path:
    (folder / "unet").mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    (folder / "unet/w.safetensors").write_bytes(b"weights")
    return folder


def test_files_and_folders(tmp_path: Path) -> None:
    a, b = model(tmp_path / "a"), model(tmp_path / "b")
    os.utime(b / "unet/w.safetensors", (5, 5))
    (b / ".cache").mkdir()
    (b / ".cache/x").write_text("")
    digests = digest_weights({"one": a, "two": b, "file": a / "unet/w.safetensors"})
    assert digests["one"] == digests["two"]
    assert digests["file"] == hashlib.sha256(b"weights").hexdigest()
    (b / "unet/w.safetensors").rename(b / "unet/v.safetensors")
    assert digest_weights({"two": b})["two"] != digests["two"]


def test_changed_bytes_change_the_digest(tmp_path: Path) -> None:
    file = model(tmp_path / "a") / "unet/w.safetensors"
    before = digest_weights({"w": file})
    file.write_bytes(b"weights!")
    assert digest_weights({"w": file}) != before


def test_missing_and_empty_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights 'unet'.*cannot be read"):
        digest_weights({"unet": tmp_path / "none"})
    with pytest.raises(WeightsError, match="is empty"):
        digest_weights({"unet": tmp_path})
