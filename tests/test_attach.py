"""A cue that was made elsewhere is one of the store's: committed, resumed, verified, shipped, drawn and described."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

import fasgen
from fasgen.audit.foreign_files import match
from fasgen.audit.verify import verify
from fasgen.cli import main
from fasgen.config import load
from fasgen.errors import SourceError
from fasgen.manifests.parquet import read_table
from fasgen.manifests.plan_file import read_plan
from fasgen.manifests.unit import committed_units, manifest_path
from fasgen.pipeline.plan import build_plan
from fasgen.pipeline.resources import Resources
from fasgen.reader import FasIndex, SampleDecoder
from fasgen.seen import NAME, Seen, encode, read_networks

PORTRAITS = Path(__file__).parent.parent / "fasgen" / "portraits"
SUFFIXES = {".npy", ".png"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of four photographs in two units, and a configuration that makes shards of them."""
    root = tmp_path_factory.mktemp("attach")
    for number, path in enumerate(sorted(PORTRAITS.glob("*.jpg"))):
        image = cv2.resize(cv2.imread(str(path)), (240, 320), interpolation=cv2.INTER_AREA)
        for label, factor in (("live", 1.0), ("spoof", 0.6)):
            (root / "faces" / label).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "faces" / label / f"{number}.png"), (image * factor).astype(np.uint8))
    (root / "fasgen.yaml").write_text(
        "store: store\nunit_rows: 2\nsynth: {variants: 0}\ndefake: {steps: 1}\nscore: {on_fail: mark}\n"
        "sources: [{path: faces, pattern: '^(?P<label>live|spoof)/(?P<subject>[^/.]+)'}]\n"
    )
    assert fasgen.run(root / "fasgen.yaml", "stage=align", gpus=0, cpus=1, engine="local").ok == 4
    return root


@pytest.fixture
def place(root: Path, tmp_path: Path) -> Path:
    shutil.copytree(root, tmp_path / "place")
    return tmp_path / "place"


def call(place: Path, *arguments: str | Path) -> Result:
    given = ("attach", place / "store", *arguments, "--config", place / "fasgen.yaml", "--gpus", "0", "--cpus", "1")
    return CliRunner().invoke(main, list(map(str, given)))


def rows(place: Path, stage: str) -> list[dict[str, Any]]:
    (folder,) = (place / "store").glob(f"{stage}-????????")
    return [row for unit in committed_units(folder) for row in read_table(manifest_path(folder, unit)).to_pylist()]


def arrays(place: Path, leave_out: str = "") -> dict[str, np.ndarray]:
    """A foreign depth of each photograph but one, called by its path."""
    made = {}
    for number, row in enumerate(sorted(rows(place, "align"), key=lambda row: row["path"])):
        if row["path"] == leave_out:
            continue
        made[row["sample_id"]] = np.random.default_rng(number).normal(size=(112, 112)).astype(np.float32)
        file = (place / "foreign" / row["path"]).with_suffix(".npy")
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, made[row["sample_id"]])
    return made


def test_a_foreign_cue_is_committed_resumed_and_shipped(place: Path) -> None:
    made = arrays(place, "spoof/1.png")
    (place / "foreign" / NAME).write_bytes(encode(Seen("depth", ("elsewhere",))))
    (place / "foreign" / "stranger.npy").write_bytes(b"")
    done = call(place, "depth", place / "foreign", "--one", "2", "--card", "Depth of *another* network.")
    assert done.exit_code == 0, done.output
    assert "note: 1 photographs have none: faces/spoof/1.png" in done.output
    assert "1 files are of no photograph" in done.output
    fates = {row["path"]: (row["status"], row["reason"]) for row in rows(place, "foreign")}
    assert fates.pop("spoof/1.png") == ("filtered", "no_cue") and set(fates.values()) == {("ok", None)}
    again = call(place, "depth", place / "foreign", "--one", "2", "--card", "Depth of *another* network.")
    assert again.exit_code == 0 and "finished: 0 units" in again.output
    # The files may go; what is committed stays, and is shipped as the cues of other stages are.
    shutil.rmtree(place / "foreign")
    assert fasgen.run(place / "fasgen.yaml", "stage=pack", gpus=0, cpus=1, engine="local").outcome == "finished"
    assert not [one for one in verify(place / "store") if one.severity == "error"]
    (shards,) = (place / "store").glob("pack-*")
    index = FasIndex(shards, SampleDecoder(("depth",), cue_scale="signed"))
    assert len(index) == 3
    for sample in index:
        wanted = made[sample["meta"]["sample_id"]]
        assert np.allclose(sample["depth"][0].numpy(), wanted / 2)  # type: ignore[typeddict-item]
        assert sample["meta"]["cues"]["depth"]["one"] == 2
    assert "Depth of *another* network." in (shards / "README.md").read_text()
    told = {one.name: one for one in read_networks(shards) or ()}
    seen = told["foreign (depth)"].seen
    assert seen is not None and seen.datasets == ("elsewhere",) and told["foreign (depth)"].cues == ("depth",)
    # Taken out, it is in what is shipped no more.
    assert _gathered(place) == ["residual", "depth"]
    assert call(place, "depth", "--remove").exit_code == 0
    assert _gathered(place) == ["residual"]


def _gathered(place: Path) -> list[str]:
    config = load(place / "fasgen.yaml")
    plan = build_plan(config, ["pack"], place / "store", resources=Resources(0, 1), ancestors=True)
    return [cue.name for cue in plan.stages["pack"].wiring.cues]


def test_reconstructions_become_the_cue_that_leaves_them(place: Path) -> None:
    store = fasgen.Store(place / "store")
    wanted = {}
    table = ["file;sample"]
    for number, row in enumerate(rows(place, "align")):
        crop = store.image(row["sample_id"], "align")
        made = np.random.default_rng(number).integers(0, 256, crop.shape, np.uint8)
        (place / "made").mkdir(exist_ok=True)
        cv2.imwrite(str(place / "made" / f"{number}.png"), made[:, :, ::-1])
        table.append(f"made/{number}.png;{row['sample_id']}")
        wanted[row["sample_id"]] = crop.astype(np.int16) - made
    (place / "table.csv").write_text("\n".join(table))
    done = call(place, "theirs", place / "table.csv", "--reconstruction")
    assert done.exit_code == 0, done.output
    for sample, array in wanted.items():
        assert np.array_equal(fasgen.Store(place / "store").arrays(sample, "foreign")["theirs"], array)
    (folder,) = (place / "store").glob("foreign-*")
    (cue,) = read_plan(folder)["cues"]
    assert (cue["one"], cue["leaves"]) == (127.5, "theirs_reconstruction")
    # Who is taken out leaves no name of a file; everybody else's cue is still believed.
    before = rows(place, "align")
    gone = next(row for row in before if row["path"] == "live/1.png")
    done = CliRunner().invoke(main, ["retract", "--subject", gone["subject"], "--config", str(place / "fasgen.yaml")])
    assert done.exit_code == 0, done.output
    files = json.loads((place / "store" / "attached" / "theirs" / "files.json").read_bytes())
    assert [sample for sample, (name, _) in files.items() if not name] == sorted(
        row["sample_id"] for row in before if row["subject"] == gone["subject"]
    )
    assert fasgen.run(place / "fasgen.yaml", "stage=foreign", gpus=0, cpus=1, engine="local").units == 0
    # A file that changes later is not taken for the one that was attached.
    (place / "made" / "0.png").write_bytes((place / "made" / "1.png").read_bytes())
    shutil.rmtree(folder)
    again = fasgen.run(place / "fasgen.yaml", "stage=foreign", gpus=0, cpus=1, engine="local")
    assert (again.ok, again.failed) == (1, 1)
    assert any("has changed since it was attached" in (row["detail"] or "") for row in rows(place, "foreign"))


def test_what_does_not_fit_is_refused_in_words(place: Path) -> None:
    arrays(place)
    folder = place / "foreign"
    file = folder / "live" / "0.npy"
    kept = file.read_bytes()

    def refused(*arguments: str | Path, name: str = "depth") -> str:
        done = call(place, name, folder, *arguments)
        assert done.exit_code == 2, done.output
        assert not (place / "store" / "attached" / name / "origin.json").exists()
        return done.output

    assert "say by --one which number of float32 stands for 1" in refused()
    assert "a cue cannot be called 'Depth'" in refused("--one", "1", name="Depth")
    assert "is the cue of defake: give yours another name" in refused("--one", "1", name="residual")
    assert "a reconstruction is a picture of 8 bits" in refused("--reconstruction")
    for array, why in (
        (np.zeros((56, 112), np.float32), "is 112 x 56 px, the crops are 112 x 112"),
        (np.zeros((112, 112, 3), np.float32), "others are float32 (112, 112, "),
        (np.full((112, 112), np.nan, np.float32), "holds numbers that are not finite"),
        (np.zeros((112, 112), np.complex64), "numbers H x W x C are needed"),
    ):
        np.save(file, array)
        assert why in refused("--one", "1").replace("\n", " ")
    file.write_bytes(b"x")
    assert "is no array of NumPy" in refused("--one", "1")
    file.write_bytes(kept)
    assert call(place, "depth", folder, "--one", "1").exit_code == 0
    done = CliRunner().invoke(
        main, ["run", "stage=foreign", "align.size=64", "--config", str(place / "fasgen.yaml"), "--dry-run"]
    )
    assert done.exit_code == 2 and "was attached to crops of 112 px, and align.size is 64" in done.output
    assert "no cue 'width' was attached" in call(place, "width", "--remove").output


def test_files_find_their_photographs(place: Path) -> None:
    ids = {row["path"]: row["sample_id"] for row in rows(place, "align")}
    given = place / "given"
    for name in (f"deep/{ids['live/0.png']}.npy", "faces/live/1.png", "spoof/0.npy"):
        (given / name).parent.mkdir(parents=True, exist_ok=True)
        (given / name).touch()
    found = match(place / "store", given, SUFFIXES)
    assert {path: found.files.get(sample) for path, sample in ids.items()} == {
        "live/0.png": given / f"deep/{ids['live/0.png']}.npy",
        "live/1.png": given / "faces/live/1.png",
        "spoof/0.png": given / "spoof/0.npy",
        "spoof/1.png": None,
    }
    assert found.without == {ids["spoof/1.png"]: "faces/spoof/1.png"}
    (given / "faces" / "spoof").mkdir()
    (given / "faces" / "spoof" / "0.png").touch()
    with pytest.raises(SourceError, match=r"are both of faces/spoof/0\.png"):
        match(place / "store", given, SUFFIXES)
    table = place / "table.csv"
    table.write_text("path,file\nlive/0.png,a.npy\nlive/0.png,b.npy\n")
    with pytest.raises(SourceError, match="stands there twice"):
        match(place / "store", table, SUFFIXES)
    table.write_text(json.dumps({}))
    with pytest.raises(SourceError, match="cannot be read as a table"):
        match(place / "store", table, SUFFIXES)
    (place / "none").mkdir()
    with pytest.raises(SourceError, match="none of its 0 names"):
        match(place / "store", place / "none", SUFFIXES)
