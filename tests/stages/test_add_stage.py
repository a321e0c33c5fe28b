"""A cue is added as CONTRIBUTING.md says, by two files and one line in the dict, and everything else knows of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import webdataset
from click.testing import CliRunner, Result

import fasgen.stages
from fasgen.audit.report.run_sheet import write_sheet
from fasgen.audit.report.samples import collect, worst_first
from fasgen.cli import main
from fasgen.config.reference import reference
from fasgen.manifests.plan_file import latest
from fasgen.manifests.unit_reader import UnitReader
from fasgen.reader import FasDataset, SampleDecoder, collate

CONFIG = '''
"""Configuration and specification of edges."""

from pydantic import Field

from fasgen.records import Column
from fasgen.stages.stage import PICTURE, Cue, Reads, StageConfig, StageSpec


class EdgesConfig(StageConfig):
    """How edges are found."""

    step: int = Field(1, ge=1, le=8, description="distance of the pixels that are compared, px")
    flattest: float = Field(0, ge=0, le=255, description="mean edge below which a face is turned away")
    batch: int = Field(4, ge=1, description="samples a call")


SPEC = StageSpec(
    name="edges",
    summary="edges of each crop",
    version=1,
    reads=(Reads(PICTURE, images=("crop",)),),
    config=EdgesConfig,
    factory="edges_room.stage:Edges",
    columns=(Column("sharp", "float32", "mean edge", "levels", "live"),),
    arrays=(
        Cue(
            "edges",
            "uint8",
            "difference of neighbouring pixels, H x W x 1, levels",
            one=255,
            card="`edges` says where the crop is sharp. A print is *not*, as the toy of a test would have it.",
            drawn="magnitude",
            columns=("sharp",),
        ),
    ),
    batch=lambda config: config.batch,
)
'''

STAGE = '''
"""The stage: crops in, edges out."""

import numpy as np

from fasgen.records import Reason
from fasgen.stages.stage import Product, Reject


class Edges:
    """Finds edges."""

    def __init__(self, config, device):
        self.config = config

    def __call__(self, batch):
        return [self.one(sample.images["crop"]) for sample in batch]

    def one(self, crop):
        grey = crop.astype(np.float32).mean(2, keepdims=True)
        edges = np.abs(grey - np.roll(grey, self.config.step, 1)).round().astype(np.uint8)
        if edges.mean() < self.config.flattest:
            return Reject(Reason.QUALITY, f"mean edge {edges.mean():.1f}")
        return Product(arrays={"edges": edges}, values={"sharp": float(edges.mean())})
'''

PORTRAITS = Path(__file__).parents[2] / "examples" / "portraits"
FACES = ("eileen_collins.jpg", "joe_biden_2010.jpg")
ENGINE = ("--engine", "local", "--gpus", "0", "--cpus", "1")


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The house with one room and one line more, in a current folder with two photographs and a quick configuration."""
    place = tmp_path_factory.mktemp("house")
    room = place / "rooms" / "edges_room"
    room.mkdir(parents=True)
    for name, text in (("__init__", ""), ("config", CONFIG), ("stage", STAGE)):
        (room / f"{name}.py").write_text(text)
    (place / "photos").mkdir()
    for name in FACES:
        image = cv2.imread(str(PORTRAITS / name))
        cv2.imwrite(str(place / "photos" / name), cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    (place / "fasgen.yaml").write_text(
        "sources: {name: photos, path: photos, label: live}\n"
        "defake: {calls: 1}\nsynth: {method: physical}\nscreen: {on_fail: mark}\nedges: {step: 2}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(room.parent))
        patch.setitem(fasgen.stages.STAGES, "edges", "edges_room.config:SPEC")
        patch.chdir(place)
        yield place
    fasgen.stages._load.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "edges_room"]:
        del sys.modules[name]


def command(*arguments: str) -> Result:
    result = CliRunner().invoke(main, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def store(house: Path) -> Path:
    """All stages with it, run once."""
    done = command("run", *ENGINE)
    assert done.exit_code == 0, done.output
    return house / "store"


def folder(store: Path, stage: str) -> Path:
    (found,) = (one.folder for one in latest(store) if one.stage == stage)
    return found


def test_the_configuration_knows_it(house: Path) -> None:
    assert "edges:\n  step: 1\n  flattest: 0.0\n  batch: 4\n" in command("config", "edges.step=1").stdout
    refused = command("run", "stage=edges", "edges.stp=2")
    assert refused.exit_code == 2
    assert "did you mean edges.step?" in refused.stderr
    assert "| `edges.step` | a whole number from 1 to 8 | `1` | distance of the pixels that are compared, px |" in reference()
    listed = command("stages").stdout
    assert "edges of each crop" in listed and "what edges makes of the samples of synth" in listed


def test_a_wrong_name_of_a_cue_is_refused_before_anything_runs(house: Path) -> None:
    refused = command("plan", "pack.cues=[edgs]", "--gpus", "0", "--no-probe")
    assert refused.exit_code == 2
    assert "did you mean edges? There are residual, lgsc, stdn, edges" in refused.stderr
    off = command("plan", "pack.cues=[edges, lgsc]", "--gpus", "0", "--no-probe")
    assert off.exit_code == 2 and "the cue lgsc of lgsc, which is switched off" in off.stderr


def test_its_rows_are_in_the_manifests(store: Path) -> None:
    with UnitReader(folder(store, "edges"), 0) as unit, UnitReader(folder(store, "align"), 0) as align:
        assert [(row["status"], row["variant"]) for row in unit.rows] == [("ok", 0)] * 2
        grey = align.image(1, "crop").astype(np.float32).mean(2, keepdims=True)
        assert np.array_equal(unit.array(1, "edges"), np.abs(grey - np.roll(grey, 2, 1)).round())
        assert unit.rows[1]["sharp"] == pytest.approx(unit.array(1, "edges").mean())
    with UnitReader(folder(store, "synth_edges"), 0) as spoofs:
        assert [(row["status"], row["variant"]) for row in spoofs.rows] == [("ok", 1)] * 2
    assert command("verify").exit_code == 0
    shown = command("show", "stage = 'edges' and sharp > 0", "--columns", "path,sharp", "--format", "csv").stdout
    assert shown.splitlines()[0] == "path,sharp"
    assert "edges-" in command("status").stdout


def test_it_is_shipped_and_read_beside_the_others(store: Path) -> None:
    pack = folder(store, "pack")
    batch = collate(list(FasDataset(pack, SampleDecoder(cue_scale={"edges": "signed"}))))
    assert batch["edges"].shape == (4, 1, 112, 112) and batch["residual"].shape == (4, 3, 112, 112)
    assert sorted(meta["synthetic"] for meta in batch["meta"]) == [False, False, True, True]
    with UnitReader(folder(store, "edges"), 0) as own, UnitReader(folder(store, "synth_edges"), 0) as spoofs:
        for edges, meta in zip(batch["edges"], batch["meta"], strict=True):
            variant = int(meta["synthetic"])
            unit = spoofs if variant else own
            (row,) = (row for row in unit.rows if (row["sample_id"], row["variant"]) == (meta["sample_id"], variant))
            assert np.allclose(edges[0] * 255, unit.array(int(str(row["row"])), "edges", variant)[:, :, 0])
            told = meta["cues"]["edges"]
            assert told["one"] == 255 and told["sharp"] == row["sharp"] and told["plan_hash"] == row["plan_hash"]
    plain = [*webdataset.WebDataset(str(pack / "fas-000000.tar"), shardshuffle=False)]
    assert all("edges.npy" in sample for sample in plain)
    [alone, *_] = FasDataset(pack, SampleDecoder(cues=("edges",)))
    assert set(alone) == {"image", "edges", "label", "meta"}


def test_the_data_card_describes_it(store: Path) -> None:
    card = (folder(store, "pack") / "README.md").read_text()
    assert "| `<id>.edges.npy` | difference of neighbouring pixels, H x W x 1, levels (4 samples) |" in card
    assert "`edges` says where the crop is sharp. A print is *not*, as the toy of a test would have it." in card
    assert "`residual` is the anomalous cue of AG-FAS, kept raw" in card
    assert 'SampleDecoder(cues=("edges", "residual",), augment' in card


def document(page: str) -> dict[str, Any]:
    import base64
    import gzip

    found = re.search(r'id="data">([A-Za-z0-9+/=]*)</script>', page)
    assert found
    data = gzip.decompress(base64.b64decode(found[1]))
    loaded: dict[str, Any] = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
    return loaded


def test_the_morning_report_has_its_pictures_and_its_score(store: Path, tmp_path: Path) -> None:
    assert command("report", "--out", str(tmp_path)).exit_code == 0
    page = document((tmp_path / "report.html").read_text())
    (score,) = (score for score in page["scores"] if score["name"] == "sharp")
    assert (score["stages"], score["higher"]) == (["edges", "synth_edges"], "live")
    assert {"crop", "reconstruction", "residual", "edges"} <= set(max(page["pictures"]["strips"], key=len))
    samples = collect(store)
    (sharp,) = (score for score in samples.scores if score.name == "sharp")
    assert sharp.values[worst_first(sharp)[0]] == np.nanmin(sharp.values)
    assert "| sharp | live | 4 |" in (tmp_path / "REPORT.md").read_text()
    stages = {stage["stage"]: stage for stage in page["stages"]}
    for name, source in (("edges", "align"), ("synth_edges", "synth")):
        edges = stages[name]
        assert (edges["source"], edges["given"], edges["missing"], edges["makes"]) == (source, 2, 0, False)


def test_the_contact_sheet_draws_it_as_it_says(store: Path, tmp_path: Path) -> None:
    assert list((store / "runs").glob("*/contact-sheet.png"))
    folders = {one.stage: one.folder for one in latest(store) if one.stage in ("align", "edges")}
    assert write_sheet(folders, tmp_path / "sheet.png", gain=1) == 2
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    # Two columns, of which the second is the cue: black where it is 0, grey as it has one channel.
    at = sheet[60:120, 6 + 166 + 20 : 6 + 166 + 140]
    assert np.array_equal(at[..., 0], at[..., 1]) and at.min() == 0 and at.mean() < 64


def test_a_changed_setting_is_another_generation(house: Path, store: Path) -> None:
    before = set(store.glob("edges-*"))
    assert command("run", "stage=edges", "edges.step=3", "edges.flattest=255", *ENGINE).exit_code == 0
    (made,) = set(store.glob("edges-*")) - before
    with UnitReader(made, 0) as unit:
        assert {(row["status"], row["reason"]) for row in unit.rows} == {("filtered", "quality")}
