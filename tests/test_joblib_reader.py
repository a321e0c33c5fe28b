"""Arrays come out of a joblib file; nothing that it asks for is run."""

from __future__ import annotations

import bz2
import io
import os
import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest

from fasgen.joblib_reader import RefusedError, Skipped, read_joblib


def dumped(value: object, tmp_path: Path) -> bytes:
    joblib.dump(value, tmp_path / "a.bz2", compress=("bz2", 3))
    return bz2.decompress((tmp_path / "a.bz2").read_bytes())


def test_what_joblib_wrote_comes_back(tmp_path: Path) -> None:
    value = {
        "data": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "names": ["a", "b"],
        "flags": [True, np.bool_(False)],
        "words": np.array(["x", "yz"]),
        "objects": np.array(["o", "pq"], dtype=object),
        "number": np.float64(0.5),
    }
    back = read_joblib(io.BytesIO(dumped(value, tmp_path)))
    assert np.array_equal(back.pop("data"), value["data"])
    assert back.pop("words").tolist() == ["x", "yz"]
    assert list(back.pop("objects")) == ["o", "pq"]
    assert back == {"names": ["a", "b"], "flags": [True, False], "number": 0.5}


def test_large_arrays_are_passed_over(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    data = dumped({"data": array, "names": ["a", "b"]}, tmp_path)
    back = read_joblib(io.BytesIO(data), skip=3)
    place = back["data"]
    assert isinstance(place, Skipped)
    assert place.shape == (2, 3, 4)
    assert np.array_equal(np.frombuffer(data, place.dtype, 24, place.offset).reshape(2, 3, 4), array)
    assert back["names"] == ["a", "b"]


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch /nowhere/at/all",)


@pytest.mark.parametrize("value", [Evil(), [Evil()], np.array([Evil()], dtype=object), Path("a"), {1: io.BytesIO}])
def test_whatever_else_is_refused(value: object, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="it asks for"):
        read_joblib(io.BytesIO(dumped(value, tmp_path)))


def test_damage_is_refused(tmp_path: Path) -> None:
    data = dumped({"data": np.zeros((2, 3, 4)), "names": ["a"]}, tmp_path)
    for cut in (0, 1, len(data) // 2, len(data) - 1):
        for skip in (None, 3):
            with pytest.raises(RefusedError):
                read_joblib(io.BytesIO(data[:cut]), skip)
    with pytest.raises(RefusedError):
        read_joblib(io.BytesIO(b"no pickle at all"))
    with pytest.raises(RefusedError, match="values are no list"):
        read_joblib(io.BytesIO(pickle.dumps(np.zeros(3))))
