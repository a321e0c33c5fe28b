"""`fasgen doctor` on what people begin with: no configuration, the examples, and each preset with weights of its size."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from fasgen.cli import main
from fasgen.config import preset_names
from fasgen.stages.network_folder import save_network
from fasgen.stages.physical.config import STYLES
from fasgen.stages.synth.config import simulated_key
from fasgen.stages.synth.difffas.diffusion import Schedule
from fasgen.stages.synth.difffas.model import DiffFAS
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder, StyleEncoderConfig
from tests.stages.defake.tiny import write_patch, write_stable
from tests.stages.identify.networks import random_network
from tests.stages.synth.difffas import tiny

EXAMPLES = Path(__file__).parents[1] / "examples" / "fasgen.yaml"


def agfas(folder: Path) -> list[str]:
    """The preset, with random networks of its shapes; it makes no spoofs."""
    generator, identity = write_stable(folder / "dfg", size=28), folder / "identity"
    network = random_network()
    save_network(network, network.config, identity)
    return ["preset=agfas", f"defake.weights={generator}", f"identify.weights={identity}", f"score.identity_weights={identity}"]


def difffas(folder: Path) -> list[str]:
    """The preset, with random networks of its size that know the simulated styles."""
    torch.manual_seed(0)
    styles = ("live", *(simulated_key(name) for name in STYLES))
    encoder = StyleEncoder(StyleEncoderConfig(styles, **(tiny.ENCODER | {"size": 256}))).eval()
    DiffFAS(tiny.unet(size=256), encoder, Schedule()).eval().save(folder / "difffas")
    weights = [f"synth.weights={folder / 'difffas'}", f"screen.style_weights={folder / 'difffas'}"]
    return ["preset=difffas", f"defake.weights={write_patch(folder / 'dfg', size=32)}", *weights, "synth.steps=2"]


def examples(folder: Path) -> list[str]:
    return ["--config", str(EXAMPLES), *FEW]


def nothing(folder: Path) -> list[str]:
    return []


FEW = ["defake.calls=2"]
"""Most of what doctor takes are calls of one network, and they are all there where nothing is configured."""

WAYS: dict[str, Callable[[Path], list[str]]] = {
    "nothing": nothing,
    "examples": examples,
    "embedded": lambda folder: ["preset=embedded", *FEW],
    "agfas": agfas,
    "difffas": difffas,
}


CUES_ALONE = {"lgsc", "stdn", "dlif"}
"""Presets of other crops that turn a cue on: the rest of the flow at those sizes takes minutes, and is that of the others."""


def test_every_preset_that_makes_something_of_its_own_is_tried() -> None:
    assert set(preset_names()) - CUES_ALONE <= set(WAYS)


@pytest.mark.parametrize("way", WAYS)
def test_doctor_tries_every_stage_that_is_on_and_nothing_fails(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["doctor", "--gpus", "0", *WAYS[way](tmp_path)])
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("all is well\n") and "\nfail" not in result.stdout
    tried = set(re.findall(r"^(?:ok|warn)  +stage (\w+): \d+ of \d+ pictures", result.stdout, re.MULTILINE))
    spoofs = {"synth", "synth_identify", "synth_defake", "screen"} if way != "agfas" else set()
    cues = {"lgsc", "stdn", "synth_lgsc", "synth_stdn"} if way == "examples" else set()
    assert tried == {"align", "identify", "defake", "score", "pack"} | spoofs | cues
    assert re.search(r"^ok +stage pack: ", result.stdout, re.MULTILINE)


def test_a_stage_that_cannot_run_like_this_is_named_and_the_others_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["doctor", "--gpus", "0", "align.size=128"])
    assert result.exit_code == 2
    assert "fail  stage synth: cannot run with this configuration: the crops are 128 x 128 px" in result.stdout
    assert "warn  stage synth_identify: not tried: it reads synth, which was not tried" in result.stdout
    assert "ok    stage align: 6 of 6 pictures" in result.stdout


def test_the_carried_portraits_are_those_of_their_credits() -> None:
    folder = files("fasgen") / "portraits"
    credits = (folder / "CREDITS.md").read_text("utf-8")
    named = dict(re.findall(r"^\| `(\w+\.jpg)` .*`([0-9a-f]{64})` \|$", credits, re.MULTILINE))
    there = {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in folder.iterdir() if one.name.endswith(".jpg")}
    assert named == there and len(there) == 2
