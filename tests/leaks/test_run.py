"""A run takes the records of the weights that it finds along: into the store, and with the delivery."""

from __future__ import annotations

import shutil
from pathlib import Path

from click.testing import CliRunner

import fasgen
from fasgen.cli import main
from fasgen.manifests.plan_file import latest, read_plan
from fasgen.manifests.seen_file import seen_by
from fasgen.seen import Seen, read_networks


def test_a_delivery_lists_the_networks_behind_it(tmp_path: Path) -> None:
    faces = tmp_path / "faces" / "live"
    faces.mkdir(parents=True)
    pictures = sorted((Path(fasgen.__file__).parent / "portraits").glob("*.jpg"))
    assert pictures
    for picture in pictures:
        shutil.copy(picture, faces / picture.name)
    (tmp_path / "fasgen.yaml").write_text(
        "store: store\nalign: {size: 112}\ndefake: {calls: 2}\n"
        f"sources:\n  - {{name: celebaspoof, path: {tmp_path / 'faces'}, licence: x, "
        "pattern: '^(?P<label>live)/(?P<subject>[^/.]+)'}\n"
    )
    config = ["--config", str(tmp_path / "fasgen.yaml"), "--engine", "local", "--gpus", "0"]
    done = CliRunner().invoke(main, ["run", "stage=pack", *config, "synth.method=physical"])
    assert done.exit_code == 0, done.output
    store = tmp_path / "store"
    (delivery,) = store.glob("pack-*")
    behind = {(one.stage, one.use): one for one in read_networks(delivery) or ()}
    assert behind["align", "crop"].seen == Seen("detector", ("WIDER FACE",))
    generator = behind["defake", "photograph"]
    assert generator.cues == ("residual",) and generator.seen is not None and "LFW" in generator.seen.datasets
    assert all(one.seen is not None for one in behind.values()), "all embedded weights say what they know"
    for generation in latest(store):
        for digest in read_plan(generation.folder)["weights"].values():
            assert seen_by(store, digest) is not None
