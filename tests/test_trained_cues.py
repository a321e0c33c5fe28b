"""Cues by networks that a user trained: crops of a store, `fasgen train`, the pipeline with what came of it, shards, tensors.

Everything but the reader runs in its own process through the command line. Networks are tiny and take a few steps.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pyarrow.parquet as pq
import pytest
import torch
from torch.utils.data import DataLoader

from fasgen.manifests.plan_file import weights_digest
from fasgen.manifests.weights import digest_weights
from fasgen.reader import FasDataset, FasIndex, JointAugment, SampleDecoder, collate
from fasgen.stages.lgsc.network import GeneratorConfig, SpoofCueGenerator
from fasgen.stages.network_folder import load_network
from fasgen.stages.stdn.config import STEPS_A_LEVEL
from fasgen.stages.stdn.generator import Generator
from fasgen.stages.stdn.traces import additive
from fasgen.stages.weights import embedded
from tests.stages.lgsc.tiny import SHAPE as LGSC_SHAPE
from tests.stages.stdn.tiny import GENERATOR as STDN_SHAPE

PORTRAITS = Path(__file__).parent.parent / "examples" / "portraits"
TWO = ("eileen_collins.jpg", "grace_hopper_1984.jpg")
SIDE = 112
STEPS = 3


@dataclass(frozen=True)
class Made:
    """Folders of the store and of both trainings."""

    store: Path
    lgsc: Path
    stdn: Path


def fasgen(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-m", "fasgen", *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def settings(values: dict[str, Any]) -> list[str]:
    return [f"{key}={json.dumps(list(value) if isinstance(value, tuple) else value)}" for key, value in values.items()]


def trained(name: str, out: Path, store: Path, **own: Any) -> Path:
    """The folder that a training on the store's live crops says it wrote."""
    common = {"steps": STEPS, "batch": 4, "lr": 1e-2, "ema": 0.5, "log_every": 1, "sheet_every": STEPS, "threads": 1}
    told = [f"out={out}", f"faces.path={store}", f"faces.size={SIDE}"]
    simulated = ["simulation.renders=2", "simulation.looks=1", "simulation.workers=1"]
    said = fasgen("train", name, *told, *simulated, *settings(common | own), "--gpus", "0")
    return Path(said.split("trained: ")[1].strip())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    home = tmp_path_factory.mktemp("trained")
    source, store = home / "portraits", home / "store"
    source.mkdir()
    for name in TWO:
        image = cv2.imread(str(PORTRAITS / name))
        cv2.imwrite(str(source / name), cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    run = ["run", f"sources={source}", "sources.0.label=live", "unit_rows=2", "--store", str(store)]
    run += ["--engine", "local", "--cpus", "1", "--gpus", "0"]
    fasgen(*run, "stage=align")
    lgsc = trained("lgsc", home / "lgsc", store, warmup=0, classifier_stem=16, classifier_widths=(16,) * 4, **LGSC_SHAPE)
    shape = {key: value for key, value in STDN_SHAPE.items() if key != "size"}
    stdn = trained("stdn", home / "stdn", store, landmarks="template", discriminator_width=4, **shape)
    cues = ["lgsc.enabled=true", f"lgsc.weights={lgsc}", "stdn.enabled=true", f"stdn.weights={stdn}"]
    quick = [f"{stage}.batch=2" for stage in ("identify", "defake", "score", "synth", "screen", "lgsc", "stdn")]
    fasgen(*run, *cues, *quick, "synth.method=physical", "screen.on_fail=mark", "defake.steps=2")
    return Made(store, lgsc, stdn)


def folder(store: Path, stage: str) -> Path:
    """The only generation of a stage."""
    (found,) = store.glob(f"{stage}-*")
    return found


def rows(store: Path, stage: str) -> list[dict[str, Any]]:
    files = sorted(p for p in folder(store, stage).glob("*.parquet") if p.stem.isdigit())
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def digest_of(folder: Path) -> str:
    """SHA-256 of the names and digests of a folder's files, in order of their names; what it has seen changes no number."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != "seen.json")
    files = sorted((path.relative_to(folder).as_posix(), path) for path in found)
    lines = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n" for name, path in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def test_manifests_and_json_name_the_weights_that_were_trained(made: Made) -> None:
    packed = FasIndex(folder(made.store, "pack"), SampleDecoder(cues=()))
    records = [packed.meta(number) for number in range(len(packed))]
    assert len(records) == 2 * len(TWO)
    for stage, role, weights in (("lgsc", "lgsc", made.lgsc), ("stdn", "generator", made.stdn / "generator")):
        digest = {role: digest_of(weights)}
        for name, variant in ((stage, 0), (f"synth_{stage}", 1)):
            assert json.loads((folder(made.store, name) / "plan.json").read_text())["weights"] == digest
            table = rows(made.store, name)
            assert {(row["status"], row["weights"]) for row in table} == {("ok", weights_digest(digest))}
            assert [row["variant"] for row in table] == [variant] * 2
        assert {record["cues"][stage]["weights"] for record in records} == {weights_digest(digest)}
        assert digest != digest_weights({role: embedded(stage) if stage == "lgsc" else embedded(stage) / "generator"})


def test_the_reader_gives_what_the_trained_networks_say_of_the_image(made: Made) -> None:
    """To the rounding of storage, which is half a step, and that of another batch."""
    data = FasIndex(folder(made.store, "pack"), SampleDecoder(cues=("residual", "lgsc", "stdn"), cue_scale="levels"))
    lgsc = load_network(made.lgsc, SpoofCueGenerator, GeneratorConfig)
    stdn = Generator.load(made.stdn / "generator")
    for number in range(len(data)):
        sample: dict[str, Any] = {**data[number]}
        cues: dict[str, torch.Tensor] = {name: sample[name] for name in ("residual", "lgsc", "stdn")}
        assert {tuple(x.shape) for x in (sample["image"], *cues.values())} == {(3, SIDE, SIDE)}
        image = sample["image"][None]
        with torch.no_grad():
            drawn, traces = lgsc(image).map[0] * 32767, additive(stdn((image + 1) / 2).traces)[0] * 255 * STEPS_A_LEVEL
        assert float((cues["lgsc"] - drawn).abs().max()) < 2 and float((cues["stdn"] - traces).abs().max()) < 2
        assert all(float(cue.std()) > 10 for name, cue in cues.items() if name != "residual")


def test_a_trainer_reads_both_cues_augmented_and_standardised(made: Made) -> None:
    decoder = SampleDecoder(cues=("lgsc", "stdn"), size=(64, 64), augment=JointAugment(flip=0.5, degrees=5))
    [batch] = DataLoader(FasDataset(folder(made.store, "pack"), decoder), batch_size=2 * len(TWO), collate_fn=collate)
    assert sorted(batch["label"].tolist()) == [0, 0, 1, 1]
    for name in ("lgsc", "stdn"):
        cue = batch[name]
        assert cue.shape == (2 * len(TWO), 3, 64, 64) and cue.dtype == torch.float32
        assert torch.allclose(cue.mean((1, 2, 3)), torch.zeros(len(cue)), atol=1e-4)
        assert torch.allclose(cue.std((1, 2, 3), correction=0), torch.ones(len(cue)), atol=1e-4)
