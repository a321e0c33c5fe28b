"""A network in its folder: it comes back to the bit, and what is wrong with a folder is named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fasgen.errors import WeightsError
from fasgen.stages.network_folder import load_network, read_config_of, read_json, save_network, write_json


@dataclass(frozen=True)
class Shape:
    widths: tuple[int, ...]
    pairs: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        if not self.widths:
            raise ValueError("widths are empty")


class Net(nn.Module):
    def __init__(self, config: Shape) -> None:
        super().__init__()
        self.config = config
        sides = (2, *config.widths)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sides, config.widths, strict=False))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Other(Net):
    pass


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net(Shape((3, 4), (("a", 1), ("b", 2))))


def test_it_comes_back_to_the_bit_for_inference(net: Net, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "net"
    save_network(net, net.config, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    told = {"_class_name": "Net", "widths": [3, 4], "pairs": [["a", 1], ["b", 2]]}
    assert json.loads((folder / "config.json").read_text()) == told
    again = load_network(folder, Net, Shape)
    assert again.config == net.config and read_config_of(folder, Net, Shape) == net.config
    assert not again.training and not any(p.requires_grad for p in again.parameters())
    x = torch.randn(5, 2)
    assert torch.equal(again(x), net(x))


def test_half_precision_on_disk_is_single_in_memory(net: Net, tmp_path: Path) -> None:
    save_network(net, net.config, tmp_path)
    path = tmp_path / "model.safetensors"
    halves = {key: value.half() for key, value in load_file(path).items()}
    save_file(halves, path)
    again = load_network(tmp_path, Net, Shape).state_dict()
    assert all(value.dtype == torch.float32 and torch.equal(value, halves[key].float()) for key, value in again.items())


def test_a_folder_that_does_not_fit_is_named(net: Net, tmp_path: Path) -> None:
    save_network(net, net.config, tmp_path)
    with pytest.raises(WeightsError, match="holds a Net, not a Other"):
        load_network(tmp_path, Other, Shape)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["layers.0.bias"], tensors["more"] = torch.zeros(9), torch.zeros(1)
    del tensors["layers.1.bias"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        load_network(tmp_path, Net, Shape)
    for part in ("1 tensors missing (layers.1.bias)", "1 tensors unexpected (more)", "of another shape (layers.0.bias)"):
        assert part in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_pickles_and_absent_tensors_are_refused(net: Net, tmp_path: Path) -> None:
    save_network(net, net.config, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="not readable as safetensors"):
        load_network(tmp_path, Net, Shape)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no such file$"):
        load_network(tmp_path, Net, Shape)
    (tmp_path / "net.pth").write_bytes(b"")
    with pytest.raises(WeightsError, match=r"net\.pth is a pickle, which is never loaded"):
        load_network(tmp_path, Net, Shape)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not readable"),
        ("[]", "holds list, not an object"),
        ('{"widths": [], "pairs": []}', "not the configuration of a Net (widths are empty)"),
        ('{"sizes": [1]}', "not the configuration of a Net"),
    ],
)
def test_a_damaged_configuration_is_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(WeightsError) as caught:
        read_config_of(tmp_path, Net, Shape)
    assert words in str(caught.value) and str(tmp_path / "config.json") in str(caught.value)


def test_json_makes_the_folders_above(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "index.json"
    write_json(path, {"what": "é"})
    assert path.read_text("utf-8") == '{\n  "what": "é"\n}\n' and read_json(path) == {"what": "é"}
    with pytest.raises(WeightsError, match=r"none\.json: not readable"):
        read_json(tmp_path / "none.json")
