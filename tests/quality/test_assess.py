"""What a store made, compared with its photographs: which sets are compared, copies, warnings, networks of the user's."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import fasgen
from fasgen.cli import main
from fasgen.downstream.efficientnet import PACKAGE
from fasgen.errors import WeightsError
from fasgen.quality.assess import copy_limit, neighbours
from fasgen.quality.features import load_extractor
from fasgen.quality.pictures import Picture, few

PORTRAITS = Path(__file__).parent.parent.parent / "fasgen" / "portraits"
CPU = torch.device("cpu")


class Pooled(torch.nn.Module):
    """4 x 4 mean colours."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two people in four exposures, live and darker as spoofs, one of them of the test split; simulated spoofs."""
    root = tmp_path_factory.mktemp("quality")
    for person, path in enumerate(sorted(PORTRAITS.glob("*.jpg"))):
        image = cv2.resize(cv2.imread(str(path)), (240, 320), interpolation=cv2.INTER_AREA)
        for number in range(4):
            for label, factor in (("live", 1.0), ("spoof", 0.6)):
                split = "test" if number == 3 and person else "train"
                file = root / "faces" / split / label / f"p{person}" / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(file), (image * (factor - 0.07 * number)).astype(np.uint8))
    pattern = "sources.0.pattern='^(?P<split>train|test)/(?P<label>live|spoof)/(?P<subject>[^/]+)/'"
    given = (f"sources={root / 'faces'}", pattern, "stage=synth", "synth.method=physical", "unit_rows=8")
    assert fasgen.run({}, *given, store=root / "store", gpus=0, cpus=1, engine="local").outcome == "finished"
    torch.jit.script(Pooled()).save(str(root / "pooled.pt"))
    return root


def call(place: Path, *arguments: str | Path) -> Result:
    given = ("quality", place / "store", "--network", place / "pooled.pt", "--side", "64", "--bootstrap", "4", *arguments)
    return CliRunner().invoke(main, list(map(str, given)))


def test_sets_are_compared_and_told(place: Path) -> None:
    done = call(place)
    assert done.exit_code == 0, done.output
    told = json.loads((place / "store" / "quality.json").read_text())
    sets = {one["made"]: one for one in told["comparisons"]}
    assert (sets["spoofs made"]["count"], sets["spoofs made"]["real_count"], told["features"]) == (8, 8, 48)
    assert (sets["live photographs, one half"]["count"]) == 4
    # Simulated prints of bright faces are nearer to nothing than bright faces are to each other.
    assert sets["spoofs made"]["figures"]["fid"]["value"] > sets["live photographs, one half"]["figures"]["fid"]["value"]
    assert 0 <= sets["spoofs made"]["figures"]["precision"]["value"] <= 1
    assert any("8 pictures say little" in one for one in sets["spoofs made"]["warnings"])
    assert any("biased upwards" in one for one in sets["spoofs made"]["warnings"])
    assert len(told["neighbours"]) == 8 and told["limit"] > 0
    assert "copies: " in done.output and "note: spoofs made: " in done.output


def test_only_what_was_made_of_the_chosen_counts(place: Path, tmp_path: Path) -> None:
    done = call(place, "--where", "split = 'train'", "--out", tmp_path / "q.json")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "q.json").read_text())
    (spoofs,) = (one for one in told["comparisons"] if one["made"] == "spoofs made")
    assert (spoofs["count"], spoofs["real_count"]) == (7, 7)
    assert "photographs left out not passing where: 2" in done.output
    done = call(place, "--where", "split = 'dev'", "--out", tmp_path / "q.json")
    assert done.exit_code == 2 and "nothing was made of the 0 photographs" in done.output


def picture(name: str, file: str, *parents: str, variant: int = 0) -> Picture:
    return Picture(Path(), 0, 0, variant, name, "d", file, "spoof", "d|c|print", parents)


def test_a_copy_is_nearer_than_photographs_are_to_each_other() -> None:
    photographs = [picture("a", "1"), picture("b", "1"), picture("c", "2"), picture("d", "3")]
    features = np.array([[0, 0], [0.1, 0], [5, 0], [0, 7]], np.float32)
    limit = copy_limit(photographs, features)
    # Frames of one file do not count: the nearest pair of two files is b and c.
    assert limit == pytest.approx(4.9, abs=0.05)
    spoofs = [picture("a", "1", "a", "d", variant=1), picture("c", "2", "c", variant=1), picture("d", "3", "d", variant=1)]
    found = neighbours(spoofs, np.array([[0, 6], [4.5, 0], [50, 50]], np.float32), photographs, features, limit)
    assert [(one.sample, one.nearest, one.guide, one.copy) for one in found] == [
        ("a-1", "d", True, True),
        ("c-1", "b", False, True),
        ("d-1", "c", False, False),
    ]
    assert found[0].distance == pytest.approx(1)


def test_few_are_chosen_by_their_names() -> None:
    some = [picture(str(number), "f") for number in range(50)]
    assert few(some, 60) == some
    chosen = few(some, 10)
    assert len(chosen) == 10 and set(few(some[::-1], 10)) == set(chosen)


def test_networks_by_path(tmp_path: Path) -> None:
    onnx = tmp_path / "net.onnx"
    faces = [np.random.default_rng(n).integers(0, 255, (40 + n, 30, 3), np.uint8) for n in range(3)]
    torch.jit.script(Pooled()).save(str(tmp_path / "net.pt"))
    found = load_extractor(str(tmp_path / "net.pt"), 64, "levels", CPU)(faces)
    assert found.shape == (3, 48)
    assert found.mean() == pytest.approx(np.mean([face.mean() for face in faces]), rel=0.01)
    unit = load_extractor(str(tmp_path / "net.pt"), 64, "unit", CPU)(faces)
    assert np.allclose(found / 255, unit, atol=1e-5)
    onnx.write_bytes(b"no network")
    for name in ("nowhere.pt", "resnet50", str(onnx)):
        with pytest.raises(WeightsError):
            load_extractor(name, 64, None, CPU)
    (tmp_path / "net.safetensors").write_bytes(b"x")
    with pytest.raises(WeightsError, match="not readable as safetensors"):
        load_extractor(str(tmp_path / "net.safetensors"), 64, None, CPU)


def test_the_packaged_network(tmp_path: Path) -> None:
    pytest.importorskip(PACKAGE)
    face = np.full((50, 50, 3), 127, np.uint8)
    assert load_extractor("efficientnet-lite0", 64, None, CPU)([face]).shape == (1, 1280)
