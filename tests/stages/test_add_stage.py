"""A stage is added as CONTRIBUTING.md says, with a folder and one line in the dict, and everything else knows of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import fasgen.stages
from fasgen.cli import main
from fasgen.config.reference import reference
from fasgen.manifests.shard import UnitReader

CONFIG = '''
"""Configuration and specification of mirror."""

from pydantic import Field

from fasgen.records import Column
from fasgen.stages.stage import StageConfig, StageSpec


class MirrorConfig(StageConfig):
    """How pictures are mirrored."""

    axis: int = Field(1, ge=0, le=1, description="axis that is turned round: 0 rows, 1 columns")
    darkest: float = Field(0, ge=0, le=255, description="mean level below which a picture is turned away")
    batch: int = Field(4, ge=1, description="samples a call")


SPEC = StageSpec(
    name="mirror",
    summary="pictures mirrored",
    version=1,
    reads=(),
    config=MirrorConfig,
    factory="mirror_room.stage:Mirror",
    columns=(Column("mean", "float32", "mean of all pixels", "levels"),),
    images=("mirrored",),
    batch=lambda config: config.batch,
)
'''

STAGE = '''
"""The stage: pictures in, mirrored pictures out."""

import numpy as np

from fasgen.records import Reason
from fasgen.stages.stage import Product, Reject


class Mirror:
    """Mirrors pictures."""

    def __init__(self, config, device):
        self.config = config

    def __call__(self, batch):
        return [self.one(sample.images["image"]) for sample in batch]

    def one(self, image):
        mean = float(image.mean())
        if mean < self.config.darkest:
            return Reject(Reason.QUALITY, f"mean level {mean:.0f}")
        return Product(images={"mirrored": np.ascontiguousarray(np.flip(image, self.config.axis))}, values={"mean": mean})
'''


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The house with one room and one line more, in a current folder with six photographs, the first of them black."""
    room = tmp_path / "rooms" / "mirror_room"
    room.mkdir(parents=True)
    for name, text in (("__init__", ""), ("config", CONFIG), ("stage", STAGE)):
        (room / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(room.parent))
    monkeypatch.setitem(fasgen.stages.STAGES, "mirror", "mirror_room.config:SPEC")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 1 + 50 * number, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "fasgen.yaml").write_text("sources: photos\nunit_rows: 4\nmirror: {darkest: 10}\n")
    yield tmp_path
    fasgen.stages._load.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "mirror_room"]:
        del sys.modules[name]


def command(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_configuration_knows_it(house: Path) -> None:
    assert "mirror:\n  axis: 0\n  darkest: 10.0\n  batch: 4\n" in command("config", "mirror.axis=0").stdout
    refused = command("run", "stage=mirror", "mirror.axs=0")
    assert refused.exit_code == 2
    assert "did you mean mirror.axis?" in refused.stderr
    assert "| `mirror.axis` | a whole number from 0 to 1 | `1` | axis that is turned round: 0 rows, 1 columns |" in reference()
    assert "pictures mirrored" in command("stages").stdout


def test_it_is_planned_and_run_and_its_rows_are_in_the_manifests(house: Path) -> None:
    planned = command("plan", "stage=mirror", "--gpus", "0", "--no-probe").stdout
    assert "2 units to do" in planned
    done = command("run", "stage=mirror", "--engine", "local", "--gpus", "0", "--cpus", "1")
    assert done.exit_code == 0, done.output
    (folder,) = (house / "store").glob("mirror-*")
    assert folder.name in planned
    with UnitReader(folder, 0) as unit:
        assert [(row["status"], row["reason"]) for row in unit.rows] == [("filtered", "quality"), *[("ok", None)] * 3]
        original = np.asarray(Image.open(house / "photos" / "2.png"))
        assert np.array_equal(unit.image(2, "mirrored"), original[:, ::-1])
        assert unit.rows[2]["mean"] == pytest.approx(original.mean())
    assert command("verify").exit_code == 0
    shown = command("show", "stage = 'mirror' and mean > 100", "--columns", "path,mean", "--format", "csv").stdout
    assert shown.splitlines()[0] == "path,mean"
    assert "mirror-" in command("status").stdout


def test_a_changed_setting_is_another_generation(house: Path) -> None:
    for axis in ("0", "1"):
        command("run", "stage=mirror", f"mirror.axis={axis}", "--engine", "local", "--gpus", "0", "--cpus", "1")
    assert len(list((house / "store").glob("mirror-*"))) == 2
