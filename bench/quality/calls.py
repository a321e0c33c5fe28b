"""How many network calls does a reconstruction need, and are they better spent on one walk or on several draws of noise?

Live faces first: how far a walk of fewer calls ends from AG-FAS's 41, beside what another draw of noise alone changes; what it
leaves of identity and picture; how many images a second. Then strangers' attacks (`bench.quality.carry`): what the residual of
the mean of K draws adds to the image, at the cost of 40 calls and below it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bench.quality.backbone import Backbone, Extractor, Floats
from bench.quality.carry import CUES, RESIDUAL, with_cue
from bench.quality.draws import Images, Walks
from bench.quality.generator import Generator, Settings, walk_name
from bench.quality.metrics import psnr
from bench.quality.strangers import Strangers, strangers
from bench.quality.trials import IMAGE, PROTOCOLS, Trial, compare, judge, mean_area, table

Walk = dict[str, Any]
"""Settings of defake that decide how it walks."""

PAPER: Walk = {"calls": 40, "sampler": "ddim", "steps": 50, "draws": 1}
"""AG-FAS's walk: 41 calls on the grid of Stable Diffusion 1.x."""

COST = 40
CALLS = (40, 20, 10, 5)
SAMPLERS = ("ddim", "dpmpp_2m")
TIMED, ROUNDS = 16, 3
"""Faces of a timing, and how often it is taken."""


def grid_of_walks() -> list[Walk]:
    """AG-FAS's walk, then 40, 20, 10 and 5 calls with 1, 2, 4 ... draws, as many as cost 40 calls, by each sampler."""
    found = [PAPER]
    for sampler in SAMPLERS:
        for calls in CALLS:
            draws = [2**power for power in range(COST) if 2**power * calls <= COST]
            found += [{"calls": calls, "sampler": sampler, "steps": None, "draws": count} for count in draws]
    return found


def live_row(walks: Walks, walk: Walk, embedded: Floats, reference: Images, embed: Extractor) -> dict[str, float]:
    """Of live faces: distance from AG-FAS's walk on the same noise (levels), identity kept, PSNR (dB)."""
    live = ~walks.faces.spoof
    made, crops = walks.reconstruction(**walk)[live], walks.faces.images[live]
    apart = np.abs(made.astype(np.int16) - reference[live]).mean()
    same = (embed(made) * embedded).sum(1)
    return {"difference": float(apart), "identity": float(same.mean()), "psnr": float(psnr(crops, made).mean())}


def speeds(settings: Settings, faces: Strangers, walks: Sequence[Walk]) -> list[list[float]]:
    """Images a second of each walk by the stage, round by round; rounds begin with another walk each."""
    crops, names = faces.images[:TIMED], faces.names[:TIMED].tolist()
    made = [Generator(settings.walking(**walk)) for walk in walks]
    found: list[list[float]] = [[] for _ in made]
    for turn in range(-1, ROUNDS):
        for place in range(len(made)):
            index = (place + turn) % len(made)
            milliseconds = made[index].reconstruct(crops, names).milliseconds
            # The first round warms up.
            if turn >= 0:
                found[index].append(1e3 / milliseconds)
    return found


def measure(data: Path, out: Path, settings: Settings, *, timed: bool = True) -> dict[str, Any]:
    """Make all walks, write ``calls.json`` to ``out`` whenever a row is done, and return the figures.

    Args:
        data: folder of the data sets.
        out: folder to write to; it will hold crops and reconstructions.
        settings: the generator; its own walk is ignored.
        timed: measure speeds as well, which wants an otherwise idle machine.

    Raises:
        SourceError: a data set is missing.
        WeightsError: the frozen features' packages are.
    """
    out.mkdir(parents=True, exist_ok=True)
    faces = strangers(data, out, settings.device)
    walks, extract = Walks(settings, faces, out), Backbone(out / "features")
    listed = grid_of_walks()
    report: dict[str, Any] = {
        "t": settings.defake.t,
        "faces": len(faces.names),
        "live": int((~faces.spoof).sum()),
        "groups": len(np.unique(faces.groups)),
        "walks": {},
    }
    embed = Generator(settings).embeddings
    live = ~faces.spoof
    embedded, reference = embed(faces.images[live]), walks.draw(**PAPER)
    other = Walks(settings, faces.only(live), out / "live").draw(1, **PAPER)
    report["another_draw"] = float(np.abs(other.astype(np.int16) - reference[live]).mean())
    plain = extract(faces.images)
    trials: dict[str, dict[str, list[Trial]]] = {protocol: {} for protocol in PROTOCOLS}

    def probed(name: str, seen: Floats) -> dict[str, float]:
        for protocol, splits in PROTOCOLS.items():
            trials[protocol][name] = judge(splits(faces), seen, faces)
        areas = {protocol: mean_area(own[name], faces.spoof) for protocol, own in trials.items()}
        print(f"{name}: {', '.join(f'{protocol} {area:.3f}' for protocol, area in areas.items())}", flush=True)
        return areas

    probed(IMAGE, plain)
    for name, make in CUES.items():
        if name != RESIDUAL:
            probed(f"{IMAGE} + {name}", with_cue(extract, plain, make(walks)))
    for walk in listed:
        name = walk_name(settings.walking(**walk).defake)
        row = report["walks"][name] = walk | live_row(walks, walk, embedded, reference, embed)
        print(f"{name}: {row}", flush=True)
        row |= probed(f"{IMAGE} + {name}", with_cue(extract, plain, walks.residual(**walk)))
        (out / "calls.json").write_text(json.dumps(report, indent=2) + "\n")
    if timed:
        rounds = np.array(speeds(settings, faces, listed))
        for row, own_rounds in zip(report["walks"].values(), rounds, strict=True):
            row["images_per_second"] = float(np.median(own_rounds))
            row["times_as_fast"] = float(np.median(own_rounds / rounds[0]))
    report["protocols"] = {
        protocol: {name: asdict(found) for name, found in compare(made, faces).items()} for protocol, made in trials.items()
    }
    (out / "calls.json").write_text(json.dumps(report, indent=2) + "\n")
    return report


def text(report: dict[str, Any]) -> str:
    """The report as two Markdown tables: single walks on live faces, and what each walk's residual adds to the image."""
    added = f"{report['faces']} faces in {report['groups']} groups; mean area under the ROC curve and gain on the image (95 %)"
    return "\n".join([*_single(report), "", added, "", *table(report["protocols"])])


def _single(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['live']} live faces, t = {report['t']}; another draw of noise alone: {report['another_draw']:.2f} levels"
    yield ""
    yield "| draws x calls, sampler | difference from AG-FAS's walk, levels | identity | PSNR, dB | times as fast |"
    yield "| --- | --- | --- | --- | --- |"
    for name, row in report["walks"].items():
        fast = f"{row['times_as_fast']:.2f}" if "times_as_fast" in row else ""
        yield f"| {name} | {row['difference']:.2f} | {row['identity']:.3f} | {row['psnr']:.2f} | {fast} |"
