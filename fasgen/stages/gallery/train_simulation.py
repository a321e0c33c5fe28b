"""Live faces spoofed by the physical simulation, once, into a mapped file that every rank and every later run reads."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fasgen.errors import ConfigError, ResourceError
from fasgen.seeds import sample_seed
from fasgen.stages.gallery.training_config import SimulationConfig
from fasgen.training.faces import Face, is_first_rank, load_faces, wait_for_ranks

LIVE = "live"
"""Style key of the live faces that spoofs are made of."""

SIMULATED = "physical|simulated|"
"""How style keys of simulated spoofs begin."""

PORTION = 256
"""Spoofs that a process renders at a time; fewer than two portions are rendered by the process that wants them."""

Simulate = Callable[[NDArray[np.uint8], str, int], NDArray[np.uint8]]
"""``simulate(image, style, seed)``: H x W x 3 RGB to the same size."""


@dataclass(frozen=True)
class Simulated:
    """Live faces and their spoofs.

    Attributes:
        faces: (N, 3, S, S) uint8.
        subjects: of each face.
        spoofs: (M, 3, S, S) uint8.
        parents: number of the face that each spoof was made of.
        styles: style key of each spoof.
        groups: style and look of each spoof; spoofs of one group share the simulation's seed.
    """

    faces: Tensor
    subjects: list[str]
    spoofs: Tensor
    parents: list[int]
    styles: list[str]
    groups: list[str]


@dataclass(frozen=True)
class Job:
    """One spoof to make: of which face, in which style, by which seed, and the name of what shares that seed."""

    parent: int
    style: str
    seed: int
    group: str


def style_key(style: str) -> str:
    """The style key of a simulated style, as manifests carry it."""
    return f"{SIMULATED}{style}"


def plan(faces: Sequence[Face], styles: Sequence[str], config: SimulationConfig, seed: int, part: str) -> list[Job]:
    """What to make of each face: ``renders`` spoofs, in styles that go round from one face to the next.

    A look is a seed of the simulation that many faces share, as the pictures of one printer and one camera share their
    parameters; so a guide of the same look shows exactly the style that the target has.

    Args:
        faces: live faces.
        styles: to choose from.
        config: how many.
        seed: the run's.
        part: ``train`` or ``held``; each has looks of its own.
    """
    jobs = []
    for parent, face in enumerate(faces):
        offset = sample_seed(seed, "simulation.style", face.name)
        for render in range(config.renders):
            style = styles[(offset + render) % len(styles)]
            if config.looks:
                look = sample_seed(seed, "simulation.look", face.name, render) % config.looks
                jobs.append(Job(parent, style, sample_seed(seed, f"simulation.{part}", style, look), f"{style}/{part}/{look}"))
            else:
                jobs.append(Job(parent, style, sample_seed(seed, f"simulation.{part}", face.name, render), style))
    return jobs


def simulate_faces(faces: Sequence[Face], size: int, config: SimulationConfig, seed: int, part: str, out: Path) -> Simulated:
    """Load live faces and spoof them, or read what an earlier run made of the same.

    Args:
        faces: live faces.
        size: side, px.
        config: what to make.
        seed: the run's.
        part: ``train`` or ``held``.
        out: the run's folder.

    Raises:
        ConfigError: if a style is unknown.
    """
    images = load_faces(faces, size, out)
    subjects = [face.subject for face in faces]
    if not config.renders:
        return Simulated(images, subjects, images[:0], [], [], [])
    styles, simulate = physical(config)
    jobs = plan(faces, styles, config, seed, part)
    spoofs = _render(images, jobs, config, simulate, config.cache or out)
    return Simulated(
        images, subjects, spoofs, [j.parent for j in jobs], [style_key(j.style) for j in jobs], [j.group for j in jobs]
    )


def physical(config: SimulationConfig) -> tuple[tuple[str, ...], Simulate]:
    """The styles that are wanted, and the physical simulation.

    Raises:
        ConfigError: if a style is unknown.
    """
    from fasgen.stages.physical.config import STYLES, PhysicalConfig
    from fasgen.stages.physical.simulate import simulate

    known = tuple(STYLES)
    unknown = [style for style in config.styles if style not in known]
    if unknown:
        raise ConfigError(f"simulation.styles: no style {', '.join(unknown)}; known are {', '.join(known)}")
    settings = PhysicalConfig()
    return config.styles or known, lambda image, style, seed: simulate(image, style, seed, settings).image


def _render(images: Tensor, jobs: Sequence[Job], config: SimulationConfig, simulate: Simulate, out: Path) -> Tensor:
    """(M, 3, S, S) uint8 in a mapped file, named by a digest of faces, jobs and the simulation's answers to two of them."""
    digest = hashlib.sha256(repr((tuple(images.shape), [(j.parent, j.style, j.seed) for j in jobs])).encode())
    for index in np.linspace(0, len(images) - 1, min(64, len(images))).astype(int):
        digest.update(images[int(index)].numpy().tobytes())
    for job in (jobs[0], jobs[-1]):
        digest.update(_made(images[job.parent].numpy(), job, simulate).tobytes())
    path = out / f"simulated-{digest.hexdigest()[:16]}.npy"
    if is_first_rank() and not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        # Trainings that share a cache may render the same at once: each writes a file of its own, and the last one stays.
        new = path.with_suffix(f".{os.getpid()}.new")
        made = np.lib.format.open_memmap(new, "w+", np.uint8, (len(jobs), *images.shape[1:]))
        workers = min(config.workers or os.cpu_count() or 1, -(-len(jobs) // PORTION))
        if workers == 1:
            _fill(made, 0, [images[j.parent].numpy() for j in jobs], jobs, simulate)
        else:
            _share_out(new, images, jobs, config, workers)
        made.flush()
        new.rename(path)
    # Rendering can outlast the time-out of a barrier.
    while not path.exists():
        time.sleep(1)
    wait_for_ranks()
    return torch.from_numpy(np.load(path, mmap_mode="r+", allow_pickle=False))


def _share_out(path: Path, images: Tensor, jobs: Sequence[Job], config: SimulationConfig, workers: int) -> None:
    """Render in processes: the simulation is many short calls that hold the interpreter's lock.

    Raises:
        ResourceError: a process died.
    """
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        parts = []
        for first in range(0, len(jobs), PORTION):
            some = jobs[first : first + PORTION]
            faces = [images[j.parent].numpy() for j in some]
            parts.append(pool.submit(_render_part, path, first, faces, some, config))
        try:
            for part in parts:
                part.result()
        except BrokenProcessPool as error:
            raise ResourceError(
                f"one of {workers} processes that render spoofs was ended, for want of memory perhaps: lower simulation.workers"
            ) from error


def _render_part(
    path: Path, first: int, faces: Sequence[NDArray[np.uint8]], jobs: Sequence[Job], config: SimulationConfig
) -> None:
    _, simulate = physical(config)
    made = np.load(path, mmap_mode="r+", allow_pickle=False)
    _fill(made, first, faces, jobs, simulate)
    made.flush()


def _fill(
    made: NDArray[np.uint8], first: int, faces: Sequence[NDArray[np.uint8]], jobs: Sequence[Job], simulate: Simulate
) -> None:
    for index, (face, job) in enumerate(zip(faces, jobs, strict=True), first):
        made[index] = _made(face, job, simulate)


def _made(face: NDArray[np.uint8], job: Job, simulate: Simulate) -> NDArray[np.uint8]:
    """(3, S, S) to the same, spoofed."""
    picture = np.ascontiguousarray(face.transpose(1, 2, 0))
    return np.ascontiguousarray(simulate(picture, job.style, job.seed).transpose(2, 0, 1))
