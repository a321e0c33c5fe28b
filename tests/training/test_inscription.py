"""What finished weights say of themselves: the same bytes for the same training, and tensors as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fasgen.training.inscription import inscribe


def inscription(path: Path) -> dict[str, str]:
    """The metadata in the header of a safetensors file, in the order in which it stands there."""
    data = path.read_bytes()
    found: dict[str, str] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return found


def test_facts_join_what_is_there_and_tensors_stay(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(7.0), "a": torch.ones(2, 3, dtype=torch.float16)}
    (tmp_path / "part").mkdir()
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    save_file(tensors, tmp_path / "part" / "other.safetensors")
    inscribe(tmp_path, {"z": "last", "fasgen.training": "identity"})
    for path in tmp_path.rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            assert file.metadata() == {"format": "pt", "fasgen.training": "identity", "z": "last"}
        assert list(inscription(path)) == ["fasgen.training", "format", "z"]
        assert all(torch.equal(load_file(path)[name], value) for name, value in tensors.items())


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(min_size=1), st.text(), max_size=5))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, facts: dict[str, str]) -> None:
    folder = tmp_path_factory.mktemp("weights")
    save_file({"x": torch.ones(3)}, folder / "model.safetensors")
    inscribe(folder, facts)
    assert inscription(folder / "model.safetensors") == {"format": "pt"} | facts
    assert torch.equal(load_file(folder / "model.safetensors")["x"], torch.ones(3))
    once = (folder / "model.safetensors").read_bytes()
    inscribe(folder, facts)
    assert (folder / "model.safetensors").read_bytes() == once
