"""What `import fasgen` promises: a run is the command's, a store answers, a stage works on pictures alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import fasgen
from fasgen.cli import main
from fasgen.errors import ConfigError, StoreError
from fasgen.reader import FasDataset
from fasgen.records import Reason
from fasgen.stages.stage import Product, Reject

PORTRAITS = Path(__file__).parents[2] / "examples" / "portraits"
FACES = ("eileen_collins.jpg", "joe_biden_2010.jpg")
QUICK = {"defake": {"calls": 1, "batch": 2}, "synth": {"variants": 0}}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("in") / "photos"
    out.mkdir()
    for name in FACES:
        image = cv2.imread(str(PORTRAITS / name))
        cv2.imwrite(str(out / Path(name).with_suffix(".png")), cv2.resize(image, None, fx=0.5, fy=0.5))
    return out


@pytest.fixture(scope="module")
def store(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out") / "store"
    result = fasgen.run({"sources": photos, **QUICK}, store=folder, gpus=0, cpus=1, engine="local")
    assert result.outcome == "finished" and (result.ok, result.failed) == (2 * 5, 0)
    return folder


@pytest.fixture(scope="module")
def pictures(photos: Path) -> list[np.ndarray]:
    return [np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1]) for path in sorted(photos.iterdir())]


def test_a_run_is_that_of_the_command(photos: Path, store: Path, tmp_path: Path) -> None:
    """The command with the same settings finds everything made; the same call does as well."""
    assert list((store / "runs").glob("*/contact-sheet.png"))
    settings = [f"sources={photos}", "defake.calls=1", "defake.batch=2", "synth.variants=0", "--store", str(store)]
    done = CliRunner().invoke(main, ["run", *settings, "--gpus", "0", "--cpus", "1", "--engine", "local"])
    assert done.exit_code == 0 and "finished: 0 units" in done.output
    path = tmp_path / "fasgen.yaml"
    path.write_text(f"sources: {photos}\ndefake: {{calls: 1, batch: 4}}\nsynth: {{variants: 0}}\nstore: {store}\n")
    again = fasgen.run(path, "defake.batch=2", "stage=align,defake", gpus=0, cpus=1, engine="local")
    assert again.units == 0 and again.remaining == 0


def test_what_is_wrong_is_refused_before_anything_runs(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"did you mean defake\.calls"):
        fasgen.run({"sources": photos, "defake": {"cals": 1}}, store=tmp_path / "store")
    with pytest.raises(ConfigError, match="local engine has no cluster"):
        fasgen.run({"sources": photos}, engine="local", address="head:6379")
    assert not (tmp_path / "store").exists()


def test_a_store_answers(store: Path) -> None:
    asked = fasgen.Store(store)
    rows = asked.rows("stage = 'defake' and residual_abs_mean > 0", ["sample_id", "residual_abs_mean"]).to_pylist()
    assert (len(rows) == 2 and set(rows[0]) == {"stage", "sample_id", "residual_abs_mean"}) or len(rows[0]) == 2
    sample = rows[0]["sample_id"]
    crop, residual = asked.image(sample, "align"), asked.arrays(sample, "defake")["residual"]
    assert crop.shape == residual.shape == (112, 112, 3) and residual.dtype == np.int16
    assert np.abs(residual).mean() == pytest.approx(rows[0]["residual_abs_mean"], rel=1e-5)
    assert [step.generation.partition("-")[0] for step in asked.trace(sample).steps][:2] == ["align", "identify"]
    assert len(FasDataset(asked.folders["pack"])) == 2
    with pytest.raises(StoreError, match="has no sample 'nobody'"):
        asked.arrays("nobody", "defake")
    with pytest.raises(StoreError, match="has nothing of a stage 'lgsc'; there is align"):
        asked.arrays(sample, "lgsc")
    with pytest.raises(StoreError, match="name the field of the image"):
        asked.image(sample, "defake")
    with pytest.raises(StoreError, match="there is no store here"):
        fasgen.Store(store / "nowhere")


def test_a_stage_is_applied_to_pictures_and_makes_what_it_needs(pictures: list[np.ndarray], store: Path) -> None:
    defake = fasgen.stage("defake", device="cpu", calls=1)
    blank = np.zeros((80, 80, 3), np.uint8)
    first, none, second = defake([pictures[0], blank, pictures[1]])
    assert isinstance(first, Product) and isinstance(second, Product)
    assert first.arrays["residual"].shape == (112, 112, 3) and first.values["calls"] == 1
    assert isinstance(none, Reject) and none.reason is Reason.NO_FACE and none.detail.startswith("align")
    crops = fasgen.stage("align", device="cpu")(pictures)
    stored = fasgen.Store(store)
    ids = stored.rows("stage = 'align'", ["sample_id", "path"]).to_pylist()
    for row, made in zip(sorted(ids, key=lambda row: row["path"]), crops, strict=True):
        assert isinstance(made, Product)
        assert np.array_equal(made.images["crop"], stored.image(row["sample_id"], "align"))
    assert not defake([])


def test_equal_pictures_give_equal_products_in_any_company(pictures: list[np.ndarray]) -> None:
    defake = fasgen.stage("defake", device="cpu", calls=1)
    pair, swapped = defake(pictures), defake(pictures[::-1])
    for one, other in zip(pair, swapped[::-1], strict=True):
        assert isinstance(one, Product) and isinstance(other, Product)
        assert np.abs(one.arrays["residual"].astype(int) - other.arrays["residual"]).max() <= 1


def test_a_stage_that_is_off_is_on_when_it_is_asked_for_and_others_are_refused(pictures: list[np.ndarray]) -> None:
    [made] = fasgen.stage("lgsc", device="cpu", config={"align": {"size": 96}})(pictures[:1])
    assert isinstance(made, Product) and made.arrays["lgsc"].shape == (96, 96, 3)
    for name in ("synth", "synth_defake", "screen"):
        with pytest.raises(ConfigError, match="drawn from a whole store"):
            fasgen.stage(name)
    with pytest.raises(ConfigError, match="did you mean defake"):
        fasgen.stage("defak")
    with pytest.raises(ConfigError, match="lgsc: where and protocol choose rows of a store"):
        fasgen.stage("lgsc", where="label = 'live'")
    with pytest.raises(ConfigError, match="trained on"):
        fasgen.stage("defake", config={"align": {"size": 96}})
    with pytest.raises(ConfigError, match="picture 0 is no array"):
        fasgen.stage("align")([np.zeros((4, 4), np.uint8)])


def test_the_names_are_there_and_no_others() -> None:
    assert {"run", "Store", "stage", "reader", "RunResult"} <= set(dir(fasgen))
    assert fasgen.reader.FasDataset is FasDataset
    with pytest.raises(AttributeError, match="no attribute 'training_loop'"):
        fasgen.training_loop  # noqa: B018
