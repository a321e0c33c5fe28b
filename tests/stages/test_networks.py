"""The list of networks: published sizes, closed forms of a call's cost, and the command that prints it."""

from __future__ import annotations

import json

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from fasgen.commands.models import models
from fasgen.stages.networks import Figures, _measure, figures


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str], Figures]:
    return {(one.name, one.origin): one for one in figures()}


def test_the_papers_networks_have_their_published_sizes(found: dict[tuple[str, str], Figures]) -> None:
    """Stable Diffusion 1.5's U-Net and autoencoder, iResNet-18."""
    assert found["De-fake Face Generator, U-Net", "paper"].parameters == 859_520_964
    assert found["autoencoder, both ways", "paper"].parameters == 83_653_863
    assert found["identity network", "paper"].parameters == 24_025_600


def test_difffas_is_there_at_256_px(found: dict[tuple[str, str], Figures]) -> None:
    unet = found["DiffFAS, U-Net", "paper"]
    assert unet.inputs[0] == (1, 3, 256, 256) and unet.inputs[2:] == ((1, 256, 32, 32), (1, 512, 16, 16), (1, 512, 8, 8))
    assert unet.gflops > 10 * found["DiffFAS, style encoder", "paper"].gflops


def test_what_comes_with_fasgen_is_listed(found: dict[tuple[str, str], Figures]) -> None:
    embedded = [one for one in found.values() if one.origin == "embedded"]
    assert {"identity network", "autoencoder, both ways", "De-fake Face Generator, U-Net"} <= {one.name for one in embedded}
    assert all(one.parameters > 0 and one.gflops > 0 for one in embedded)


def test_a_convolution_costs_what_it_must() -> None:
    def build() -> nn.Module:
        return nn.Conv2d(3, 8, 3, padding=1, bias=False)

    one = _measure("convolution", "paper", build, ((1, 3, 10, 20),), lambda network, x: network(x))
    assert one.parameters == 3 * 8 * 9 and one.gflops == pytest.approx(2 * 3 * 8 * 9 * 200 / 1e9)


def test_nothing_is_computed() -> None:
    seen: list[torch.device] = []

    def call(network: nn.Module, x: torch.Tensor) -> None:
        seen.append(network(x).device)

    _measure("layer", "paper", lambda: nn.Linear(4, 4), ((1, 4),), call)
    assert seen == [torch.device("meta")]


def test_the_command_prints_a_table_or_json() -> None:
    table = CliRunner().invoke(models, [])
    assert table.exit_code == 0 and "DiffFAS, U-Net" in table.stdout and "GFLOPs a call" in table.stdout
    listed = json.loads(CliRunner().invoke(models, ["--json"]).stdout)
    assert {"name", "origin", "inputs", "parameters", "gflops"} == listed[0].keys()
    assert len(table.stdout.splitlines()) == len(listed) + 1
