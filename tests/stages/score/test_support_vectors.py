"""Reading BRISQUE's model: the carried one, LIBSVM's layout, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fasgen.errors import WeightsError
from fasgen.stages.score.config import brisque_folder
from fasgen.stages.score.support_vectors import load

HEADER = "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.05\nnr_class 2\ntotal_sv 2\nrho -3.5\nSV\n"
RANGE = "x\n-1 1\n" + "".join(f"{i} {i / 100} {1 + i}\n" for i in range(1, 37))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "allmodel").write_text(HEADER + "-1024 1:0.5 36:-1\n7.25 2:1\n")
    (tmp_path / "allrange").write_text(RANGE)
    return tmp_path


def test_the_carried_model_has_770_support_vectors() -> None:
    model = load(brisque_folder("embedded"))
    assert model.vectors.shape == (770, 36)
    assert model.gamma == 0.05 and model.rho == -155.845
    assert model.low[0] == 0.336999 and model.high[0] == 9.999411
    # The digest that scores have named since they were read from the package brisque 0.2.0 itself.
    assert model.digest == "a50a0187a8c65ab3"


def test_libsvm_layout(folder: Path) -> None:
    model = load(brisque_folder(str(folder)))
    assert model.coefficients.tolist() == [-1024, 7.25]
    assert model.vectors[0, 0] == 0.5 and model.vectors[0, 35] == -1 and model.vectors[1, 1] == 1
    assert np.count_nonzero(model.vectors) == 3
    assert model.low[9] == 0.1 and model.high[9] == 11


@pytest.mark.parametrize("fault", ["no tensor", "shape", "bytes"])
def test_refuses_a_damaged_file_of_tensors(tmp_path: Path, fault: str) -> None:
    parts = load_file(brisque_folder("embedded") / "model.safetensors")
    if fault == "no tensor":
        del parts["rho"]
    parts["vectors"] = parts["vectors"][:, :35] if fault == "shape" else parts["vectors"]
    save_file(parts, tmp_path / "model.safetensors")
    if fault == "bytes":
        (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match=str(tmp_path)):
        load(brisque_folder(str(tmp_path)))


@pytest.mark.parametrize(
    ("model", "ranges", "message"),
    [
        ("hello", RANGE, "no line 'SV'"),
        (HEADER.replace("rbf", "linear") + "1 1:1\n1 1:2\n", RANGE, "kernel_type is linear"),
        (HEADER + "1 1:1\n", RANGE, "1 support vectors, its header says 2"),
        (HEADER + "1 1:1\n1 37:1\n", RANGE, "feature 37 of 36"),
        (HEADER + "1 1:1\n1 x:1\n", RANGE, "damaged LIBSVM model"),
        (HEADER + "1 1:1\n1 2:1\n", "x\n-1 1\n1 0 1\n", "expected 36 minima"),
        (HEADER + "1 1:1\n1 2:1\n", RANGE.replace("1 0.01 2", "1 3 2", 1), "each below its maximum"),
        (HEADER + "1 1:1\n1 2:1\n", RANGE.replace("1 0.01 2", "1 a 2", 1), "damaged range file"),
    ],
)
def test_refuses_what_is_not_a_brisque_model(folder: Path, model: str, ranges: str, message: str) -> None:
    (folder / "allmodel").write_text(model)
    (folder / "allrange").write_text(ranges)
    with pytest.raises(WeightsError, match=message):
        load(brisque_folder(str(folder)))


def test_refuses_bytes_that_are_no_text(folder: Path) -> None:
    (folder / "allmodel").write_bytes(b"\xff\xfe")
    with pytest.raises(WeightsError, match="not a LIBSVM text file"):
        load(brisque_folder(str(folder)))


def test_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no allmodel and no allrange"):
        brisque_folder(str(tmp_path))
    (tmp_path / "allmodel").touch()
    with pytest.raises(WeightsError, match="has no allrange"):
        brisque_folder(str(tmp_path))
