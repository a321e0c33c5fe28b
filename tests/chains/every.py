"""All files of examples/papers from end to end, on data sets in miniature with networks and steps that are tiny.

    python -m tests.chains.every [--folder DIR] [NAME...]

What is made small is said here and nowhere else: everything else is the files' own. Ends with 1 where a table has a hole.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from unittest.mock import patch

from click.testing import CliRunner

from fasgen.chains import run
from fasgen.chains.config import load_chain
from fasgen.cli import main as fasgen
from fasgen.config.document import read_document
from tests.chains import miniature
from tests.chains.within import here

FOLDER = Path(__file__).parents[2] / "examples" / "papers"
SMALL = 64

LGSC = (
    "{init: null, faces: {size: 64}, batch: 4, steps: 2, warmup: 0, stem: 4, widths: [4, 4, 8, 8], blocks: [1, 1, 1, 1], "
    "decoder: [8, 4, 4, 4], classifier_stem: 4, classifier_widths: [4, 4, 4, 4]}"
)
STDN = (
    "{faces: {size: 64}, batch: 4, steps: 2, stem: 4, widths: [4, 8, 8], blocks: [0, 0, 1], depth_width: 4, "
    "discriminator_width: 4, landmarks: template}"
)
DFG = (
    "{faces: {size: 64, max_yaw: null}, init: null, identity: embedded, identity_depth: null, batch: 4, steps: 2, "
    "channels: [16, 16], attention: [false, true], layers: 1, heads: 2, condition: 32, projection: learned}"
)
STYLE = (
    "{faces: {size: 64}, batch: 4, steps: 2, blocks: [1, 1, 1], widths: [8, 8, 16], taps: [2, 3], kernel: 3, pool: false, "
    "shift: 2}"
)
DIFFFAS = (
    "{faces: {size: 64}, batch: 4, steps: 2, warmup: 0, identity: none, base: 8, multipliers: [1, 1, 2], blocks: 1, "
    "fusion: [1, 2], mean_patches: [6, 6], variance_patches: [2, 2], shown_steps: 2}"
)
LOOP = "detector.loop={steps: 2, batch: 12, warmup: 0}"
SCORING = "detector.scoring={bootstrap: 0, looks: 1}"
TINY: dict[str, tuple[str, ...]] = {
    "agfas": (
        *("settings.identify={weights: embedded, depth: null}", "settings.score.identity_weights=embedded"),
        *("settings.defake.steps=5", f"settings.train.dfg={DFG}", LOOP, SCORING, "detector.data.size=32"),
        "detector.model={backbone: vit-tiny, cue_backbone: resnet18-tiny, embedding: 8}",
        *("detector.model.pretrained=null", "detector.model.cue_pretrained=null"),
    ),
    "difffas": (
        *("settings.synth.steps=2", f"settings.train.style={STYLE}", f"settings.train.difffas={DIFFFAS}"),
        *("settings.screen.on_fail=mark", LOOP, SCORING, "detector.data.size=64"),
        "detector.model={backbone: mobilevit-xxs, embedding: 8, pretrained: null}",
    ),
    "lgsc": (f"settings.train.lgsc={LGSC}", SCORING),
    "dlif": (
        *("detector.loop={steps: 2, warmup: 0}", SCORING, "detector.data.size=32"),
        *("detector.model={backbone: resnet18-tiny, embedding: 8}", "detector.dlif={subjects: 1, live: 1, spoof: 1}"),
    ),
    "stdn": (f"settings.train.stdn={STDN}", SCORING),
}
LISTS = {"wmca": miniature.wmca_list, "siw-m": miniature.siw_m_list}
"""Data sets whose lists alone say who trains; a protocol of a data set's own name goes by its folders."""

MEANS = ("--engine", "local", "--gpus", "0", "--cpus", "1")
PATCHED = {"lgsc-oulu", "lgsc-siw", "lgsc-casia-replay", "lgsc-losses"}
"""Files whose networks learn from patches."""


def tiny(path: Path, sets: Path, out: Path) -> list[str]:
    """The settings under which a file runs in minutes."""
    asked = read_document(path).data
    places = [f"data.{name}.path={sets / name}" for name in asked["data"]]
    places += [f"data.{name}.frames=2" for name, one in asked["data"].items() if one]
    places += [f"extra.{name}.path={sets / name}" for name in asked.get("extra", {})]
    places += [f"weights.{name}=embedded" for name in asked.get("weights", {})]
    for name, written in LISTS.items():
        if name in asked["data"]:
            (sets / f"{name}.csv").write_text(written())
            places += [f"lists.{protocol}={sets / name}.csv" for protocol in asked["protocols"] if protocol != name]
    patch = ["settings.train.lgsc.patch=48"] if path.stem in PATCHED else []
    size = f"settings.align.size={SMALL}"
    return [
        *places,
        size,
        *TINY[path.stem.partition("-")[0]],
        *patch,
        f"out={out / path.stem}",
        f"trainings={out / 'trainings'}",
    ]


def holes(path: Path, settings: Sequence[str]) -> list[str]:
    """Folds and methods of which the table of a file has no figure."""
    chain = load_chain(path, settings)
    table = json.loads((chain.out / "table.json").read_text("utf-8"))
    found = {(one["protocol"].replace("/", "-"), one["method"]) for one in table["figures"]}
    return [
        f"{fold.name}, {method}"
        for fold in chain.folds()
        for method in chain.methods
        if not any(protocol.endswith(fold.name) and method == name for protocol, name in found)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="files without their ending; all of them")
    parser.add_argument("--folder", type=Path, help="where all of it is kept; else it goes with the end")
    given = parser.parse_args(arguments)
    files = [path for path in sorted(FOLDER.glob("*.yaml")) if path.stem != "places"]
    if unknown := set(given.names) - {path.stem for path in files}:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as passing:
        folder = given.folder or Path(passing)
        chosen = [path for path in files if not given.names or path.stem in given.names]
        asked = [read_document(path).data for path in chosen]
        wanted = {name for one in asked for name in (*one["data"], *one.get("extra", {}))}
        sets, bad = miniature.make(folder / "sets", *sorted(wanted)), 0
        for path in chosen:
            begun, settings = time.monotonic(), tiny(path, sets, folder)
            with patch.object(run, "run", partial(run.run, launch=here)):
                done = CliRunner().invoke(fasgen, ["paper", str(path), *settings, *MEANS])
            lacking = holes(path, settings) if done.exit_code == 0 else done.output.splitlines()[-8:]
            bad += bool(lacking)
            print(f"{path.stem}: {'; '.join(lacking) or 'whole'}, {time.monotonic() - begun:.0f} s", flush=True)
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
