"""How many network calls does a reconstruction need, and are they better spent on one walk or on several draws of noise?

Live faces first: how far a walk of fewer calls ends from AG-FAS's 41, beside what another draw of noise alone changes; what it
leaves of identity and picture; how many images a second. Then strangers' attacks (`bench.quality.carry`): what the residual of
the mean of K draws adds to the image, at the cost of 40 calls and below it.

A face's draws are those of the stage: draw by draw, each kept in ``out``, so that a run that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality.backbone import Backbone, Floats
from bench.quality.carry import IMAGE, PROTOCOLS, TRIVIAL, Trial, compare, mean_area, with_cue
from bench.quality.generator import Generator, Settings, walk_name
from bench.quality.metrics import psnr
from bench.quality.probe import AUTOENCODER, residual
from bench.quality.strangers import Strangers, strangers

Images = NDArray[np.uint8]

PAPER = {"calls": 40, "sampler": "ddim", "steps": 50, "draws": 1}
"""AG-FAS's walk: 41 calls on the grid of Stable Diffusion 1.x."""

COST = 40
CALLS = (40, 20, 10, 5)
SAMPLERS = ("ddim", "dpmpp_2m")
TIMED, ROUNDS = 16, 3
"""Faces of a timing, and how often it is taken."""


class Walks:
    """Reconstructions of the strangers by single draws, made once and kept.

    Args:
        settings: the generator; how it walks is given draw by draw.
        faces: whose.
        out: folder to keep them in.
    """

    def __init__(self, settings: Settings, faces: Strangers, out: Path) -> None:
        self.settings, self.faces, self._out = settings, faces, out / "draws"

    def draw(self, walk: dict[str, Any], number: int) -> Images:
        """Draw ``number`` (N, H, W, 3) of every face."""
        settings = self.settings.walking(**walk | {"draws": 1})
        path = self._out / f"{settings.key()}-{number}.npz"
        names = self.faces.names
        if path.exists():
            with np.load(path, allow_pickle=False) as f:
                if np.array_equal(f["names"], names):
                    images: Images = f["images"]
                    return images
        told = f"{walk_name(settings.defake)}, t = {settings.defake.t}, draw {number + 1}"
        images = Generator(settings).reconstruct(self.faces.images, names.tolist(), draw=number, told=told).images
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=images, names=names)
        return images

    def mean(self, walk: dict[str, Any]) -> Images:
        """Mean over the walk's draws, rounded as the stage rounds it."""
        if walk["draws"] == 1:
            return self.draw(walk, 0)
        total = np.zeros(self.faces.images.shape, np.uint16)
        for number in range(walk["draws"]):
            total += self.draw(walk, number)
        return np.rint(total / np.float32(walk["draws"])).astype(np.uint8)


def grid_of_walks() -> list[dict[str, Any]]:
    """AG-FAS's walk, then 40, 20, 10 and 5 calls with 1, 2, 4 ... draws, as many as cost 40 calls, by each sampler."""
    found = [dict(PAPER)]
    for sampler in SAMPLERS:
        for calls in CALLS:
            draws = [2**power for power in range(COST) if 2**power * calls <= COST]
            found += [{"calls": calls, "sampler": sampler, "steps": None, "draws": count} for count in draws]
    return found


def live_row(walks: Walks, walk: dict[str, Any], embedded: Floats, reference: Images, embed: Any) -> dict[str, float]:
    """Of live faces: distance from AG-FAS's walk on the same noise (levels), identity kept, PSNR (dB)."""
    live = ~walks.faces.spoof
    made, crops = walks.mean(walk)[live], walks.faces.images[live]
    apart = np.abs(made.astype(np.int16) - reference[live]).mean()
    same = (embed(made) * embedded).sum(1)
    return {"difference": float(apart), "identity": float(same.mean()), "psnr": float(psnr(crops, made).mean())}


def speeds(settings: Settings, faces: Strangers, walks: Sequence[dict[str, Any]]) -> list[list[float]]:
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


def seen_by(backbone: Backbone, out: Path, key: str, pictures: Any, plain: Floats | None) -> Floats:
    """Features of image or of image and cue, made once and kept in ``out``."""
    path = out / "features" / f"{key}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, backbone.features(pictures) if plain is None else with_cue(backbone, plain, pictures))
    found: Floats = np.load(path)
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
    walks, backbone = Walks(settings, faces, out), Backbone()
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
    embedded, reference = embed(faces.images[live]), walks.draw(PAPER, 0)
    other = Walks(settings, faces.only(live), out / "live").draw(PAPER, 1)
    report["another_draw"] = float(np.abs(other.astype(np.int16) - reference[live]).mean())
    plain = seen_by(backbone, out, "image", faces.images, None)
    trials: dict[str, dict[str, list[Trial]]] = {protocol: {} for protocol in PROTOCOLS}

    def probed(name: str, seen: Floats) -> dict[str, float]:
        for protocol, judge in PROTOCOLS.items():
            trials[protocol][name] = judge(seen, faces)
        areas = {protocol: mean_area(own[name], faces.spoof) for protocol, own in trials.items()}
        print(f"{name}: {', '.join(f'{protocol} {area:.3f}' for protocol, area in areas.items())}", flush=True)
        return areas

    probed(IMAGE, plain)
    for name, maker in TRIVIAL.items():
        probed(name, seen_by(backbone, out, name, maker(faces), plain))
    alone = residual(faces.images, walks.draw(PAPER | {"t": 0}, 0))
    probed(AUTOENCODER, seen_by(backbone, out, settings.walking(t=0).key(), alone, plain))
    for walk in listed:
        own = settings.walking(**walk)
        name = walk_name(own.defake)
        row = report["walks"][name] = walk | live_row(walks, walk, embedded, reference, embed)
        print(f"{name}: {row}", flush=True)
        cue = residual(faces.images, walks.mean(walk))
        row |= probed(name, seen_by(backbone, out, own.key(), cue, plain))
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
    return "\n".join([*_single(report), "", *_added(report)])


def _single(report: dict[str, Any]) -> Iterator[str]:
    yield f"{report['live']} live faces, t = {report['t']}; another draw of noise alone: {report['another_draw']:.2f} levels"
    yield ""
    yield "| draws x calls, sampler | difference from AG-FAS's walk, levels | identity | PSNR, dB | times as fast |"
    yield "| --- | --- | --- | --- | --- |"
    for name, row in report["walks"].items():
        fast = f"{row['times_as_fast']:.2f}" if "times_as_fast" in row else ""
        yield f"| {name} | {row['difference']:.2f} | {row['identity']:.3f} | {row['psnr']:.2f} | {fast} |"


def _added(report: dict[str, Any]) -> Iterator[str]:
    protocols = report["protocols"]
    yield f"{report['faces']} faces in {report['groups']} groups; mean area under the ROC curve and gain on the image (95 %)"
    yield ""
    yield f"| features | {' | '.join(f'{name} | gain' for name in protocols)} |"
    yield f"| --- |{' --- | --- |' * len(protocols)}"
    for name in next(iter(protocols.values())):
        cells = []
        for found in protocols.values():
            one = found[name]
            cells.append(f"{one['area']:.3f} ({one['low']:.3f} to {one['high']:.3f})")
            gain = f"{one['gain']:+.3f} ({one['gain_low']:+.3f} to {one['gain_high']:+.3f})"
            cells.append("" if name == IMAGE else gain)
        label = name if name == IMAGE else f"image + {name}"
        yield f"| {label} | {' | '.join(cells)} |"
