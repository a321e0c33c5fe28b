"""``python -m bench.quality [WHAT] --weights FOLDER --data FOLDER --out FOLDER``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click
import cv2
import torch
import yaml
from pydantic import ValidationError

from bench.quality import appearance, augment, calls, carry, cue_map, probe, synthesis, unseen
from bench.quality import identity as faces
from bench.quality.generator import Settings
from bench.quality.live import LiveSet
from bench.quality.teacher import Teacher
from fasgen.errors import FasgenError
from fasgen.stages.defake.config import DefakeConfig
from fasgen.stages.lgsc.config import LgscConfig
from fasgen.stages.lgsc.stage import Lgsc
from fasgen.stages.stdn.config import StdnConfig
from fasgen.stages.stdn.stage import Stdn
from fasgen.stages.synth.config import SynthConfig
from fasgen.stages.synth.difffas.style_encoder import StyleEncoder

WHAT = ("identity", "probe", "appearance", "carry", "unseen", "calls", "synthesis", "augment", "lgsc", "stdn", "all")
FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(help="Measure the generator on real faces and real attacks. Rendered faces are written to --out.")
@click.argument("what", type=click.Choice(WHAT), default="all")
@click.option("--weights", default="embedded", show_default=True, help="generator: 'embedded' or a diffusers folder")
@click.option("--identity", default="embedded", show_default=True, help="identity network that the generator is conditioned by")
@click.option("--data", type=FOLDER, default=lambda: os.environ.get("FASGEN_DATA"), help="data sets  [default: FASGEN_DATA]")
@click.option("--out", type=FOLDER, required=True, help="where reports, crops and reconstructions go")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="a setting of defake, such as t=400 or draws=4")
@click.option("--batch", type=click.IntRange(1), default=16, show_default=True, help="samples a call")
@click.option("--limit", type=click.IntRange(2), default=None, help="samples of each data set, evenly spread  [default: all]")
@click.option("--device", default="cpu", show_default=True, help="torch's name of the device")
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads")
@click.option(
    "--faces",
    "live_set",
    type=click.Choice(get_args(LiveSet)),
    default="celebrities",
    show_default=True,
    help="identity: which live faces",
)
@click.option(
    "--subjects", default=",".join(faces.SUBJECTS), show_default=True, help="identity: celebrities held out of training"
)
@click.option("--teacher", type=click.Path(path_type=Path), default=None, help="identity: independent face recogniser, ONNX")
@click.option("--teacher-node", default="665", show_default=True, help="identity: its embedding's name in the graph")
@click.option("--style-judge", type=FOLDER, default=None, help="synthesis: style encoder that the model was not trained with")
@click.option("--synth-weights", default="embedded", show_default=True, help="all of synth: DiffFAS's weights")
@click.option("--synth-t", type=int, nargs=2, default=None, help="all of synth: range of the strength t")
@click.option("--synth-gamma", type=float, nargs=2, default=None, help="all of synth: range of the guidance gamma")
@click.option("--synth-steps", type=int, default=None, help="all of synth: network calls")
@click.option(
    "--synth-sampler",
    type=click.Choice(["ddim", "dpmpp_2m", "ddpm"]),
    default=None,
    help="all of synth: way of walking",
)
@click.option(
    "--synth-guided",
    type=click.FloatRange(0, 1),
    default=None,
    help="all of synth: guided share of the calls",
)
@click.option("--lgsc-weights", default="embedded", show_default=True, help="carry, lgsc: the generator's weights")
@click.option("--stdn-weights", default="embedded", show_default=True, help="carry, stdn: the generator's weights")
@click.option(
    "--seeds", type=click.IntRange(1), default=augment.SEEDS, show_default=True, help="augment: trainings of each kind"
)
@click.option(
    "--method",
    type=click.Choice(list(augment.ARMS)),
    default="both",
    show_default=True,
    help="augment: spoofs by simulation, by DiffFAS, or both",
)
@click.option("--untimed", is_flag=True, help="calls: leave speeds out, which want an otherwise idle machine")
@click.option("--no-generator", is_flag=True, help="probe: the trivial cues alone")
def main(
    what: str,
    weights: str,
    identity: str,
    data: Path | None,
    out: Path,
    changes: tuple[str, ...],
    batch: int,
    limit: int | None,
    device: str,
    threads: int,
    live_set: LiveSet,
    subjects: str,
    teacher: Path | None,
    teacher_node: str,
    style_judge: Path | None,
    synth_weights: str,
    synth_t: tuple[int, int] | None,
    synth_gamma: tuple[float, float] | None,
    synth_steps: int | None,
    synth_sampler: str | None,
    synth_guided: float | None,
    lgsc_weights: str,
    stdn_weights: str,
    seeds: int,
    method: augment.Method,
    untimed: bool,
    no_generator: bool,
) -> None:
    """Run the evaluations and print their tables."""
    if data is None or not data.is_dir():
        raise click.UsageError(f"--data: {data or 'nothing given and FASGEN_DATA unset'}; name the folder of the data sets")
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    settings = Settings(_defake(changes, weights, batch), identity, device)
    given = {"t": synth_t, "gamma": synth_gamma, "steps": synth_steps, "sampler": synth_sampler, "guided": synth_guided}
    chosen = {name: value for name, value in given.items() if value is not None}
    synth = SynthConfig.model_validate({"weights": synth_weights, "batch": batch} | chosen)
    judge = Teacher(teacher, teacher_node, threads) if teacher else None
    try:
        if what in ("identity", "all"):
            people = [name.strip() for name in subjects.split(",") if name.strip()]
            found = faces.measure(data, out, settings, faces=live_set, subjects=people, limit=limit, teacher=judge)
            print(faces.text(found), end="\n\n", flush=True)
        if what in ("probe", "all"):
            print(probe.text(probe.measure(data, out, settings, limit=limit, generator=not no_generator)), flush=True)
        if what in ("appearance", "all"):
            print(appearance.text(appearance.measure(data, out, synth.physical, device)), end="\n\n", flush=True)
        if what in ("carry", "all"):
            networks = carry.Networks(
                settings,
                LgscConfig.model_validate({"weights": lgsc_weights}),
                StdnConfig.model_validate({"weights": stdn_weights}),
                synth,
            )
            print(carry.text(carry.measure(data, out, networks)), end="\n\n", flush=True)
        if what in ("unseen", "all"):
            print(unseen.text(unseen.measure(data, out, synth, device)), end="\n\n", flush=True)
        if what in ("calls", "all"):
            print(calls.text(calls.measure(data, out, settings, timed=not untimed)), end="\n\n", flush=True)
        if what in ("synthesis", "all"):
            encoder = StyleEncoder.load(style_judge) if style_judge else None
            shown = synthesis.measure(data, out, synth, device=device, limit=limit or 200, teacher=judge, style_judge=encoder)
            print(synthesis.text(shown), end="\n\n", flush=True)
        if what in ("augment", "all"):
            print(augment.text(augment.measure(data, out, synth, method=method, device=device, seeds=seeds)), flush=True)
        if what in ("lgsc", "all"):
            lgsc = LgscConfig.model_validate({"weights": lgsc_weights, "batch": batch})
            cue = Lgsc(lgsc, torch.device(device))
            rows = cue_map.measure(data, out, cue, "lgsc_score", batch, spoof_is_high=True, device=device)
            print(cue_map.text(rows), end="\n\n", flush=True)
        if what in ("stdn", "all"):
            stdn = StdnConfig.model_validate({"weights": stdn_weights, "batch": batch})
            traces = Stdn(stdn, torch.device(device))
            rows = cue_map.measure(data, out, traces, "stdn_score", batch, spoof_is_high=False, device=device)
            print(cue_map.text(rows), flush=True)
    except FasgenError as error:
        print(f"bench.quality: {error}", file=sys.stderr)
        sys.exit(2)


def _defake(changes: Sequence[str], weights: str, batch: int) -> DefakeConfig:
    """Settings of the stage from ``KEY=VALUE``."""
    values: dict[str, object] = {"weights": weights, "batch": batch}
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign:
            raise click.UsageError(f"--set {change}: give KEY=VALUE, for example --set t=400")
        values[key] = yaml.safe_load(value)
    try:
        return DefakeConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise click.UsageError(f"--set {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


if __name__ == "__main__":
    main()
