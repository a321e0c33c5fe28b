"""Checks of a machine before a night's work is given to it. Each says what was found and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fasgen import __version__, stages
from fasgen.errors import FasgenError
from fasgen.pipeline.estimate import Probe, probe
from fasgen.pipeline.plan import build_plan
from fasgen.pipeline.resources import claim, gpu_names, machine, usable_cpus
from fasgen.stages.compiled import compile_cache

if TYPE_CHECKING:
    from fasgen.config import Config

PACKAGES = (
    "torch",
    "diffusers",
    "ray",
    "numpy",
    "pyarrow",
    "numcodecs",
    "webdataset",
    "opencv-python-headless",
    "safetensors",
    "duckdb",
)
SHM_BYTES = 1 << 30
"""Ray keeps its object store in shared memory; below this it falls back to the disk and warns."""
DISK_BYTES = 10 << 30
"""Below this much free disk a night's run is likely to end early."""
OPEN_FILES = 4096
"""Ray holds a few descriptors a worker and connection."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Attributes:
        level: ``ok``, ``warn`` (it will work, but) or ``fail`` (it will not).
        what: what was looked at.
        found: what was found.
        advice: what to do; empty where nothing needs doing.
    """

    level: Literal["ok", "warn", "fail"]
    what: str
    found: str
    advice: str = ""


def versions() -> Iterator[Check]:
    """Python, fasgen and the libraries it stands on."""
    yield Check("ok", "fasgen", f"{__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    yield Check("ok", "libraries", ", ".join(found))
    if missing:
        yield Check("fail", "libraries", f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")


def machine_checks(store: Path) -> Iterator[Check]:
    """Cores, shared memory, disk at ``store``, open files, a compiler and the folder of what is compiled."""
    yield Check("ok", "CPU", f"{usable_cpus()} cores usable")
    shm = Path("/dev/shm")
    if shm.is_dir():
        free = shutil.disk_usage(shm).free
        small = free < SHM_BYTES
        advice = "give the container more (docker run --shm-size 4g), or use --engine local" if small else ""
        yield Check("warn" if small else "ok", "/dev/shm", f"{free / 1e9:.1f} GB free", advice)
    yield from _disk(store)
    if os.name == "posix":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        few = soft != resource.RLIM_INFINITY and soft < OPEN_FILES
        advice = "raise it before a run with many workers: ulimit -n 65536" if few else ""
        yield Check("warn" if few else "ok", "open files", str(soft), advice)
    compiler = next(
        (name for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++") if name and shutil.which(name)), None
    )
    if compiler:
        yield Check("ok", "compiler", compiler)
    else:
        yield Check("warn", "compiler", "none found", "install g++ if defake.compile is to be used: torch.compile needs it")
    cache = compile_cache()
    passing = Path(tempfile.gettempdir()) in cache.parents
    advice = "every start after a clean-up compiles anew; set XDG_CACHE_HOME to a folder that stays" if passing else ""
    yield Check("warn" if passing else "ok", "compiled code", f"kept in {cache}", advice)


def _disk(store: Path) -> Iterator[Check]:
    folder = next(parent for parent in (store, *store.parents) if parent.is_dir())
    if not os.access(folder, os.W_OK):
        yield Check(
            "fail", "disk", f"{folder} cannot be written", "choose another folder with --store, or mend its permissions"
        )
        return
    free = shutil.disk_usage(folder).free
    short = free < DISK_BYTES
    advice = "`fasgen plan` tells how much the run will write" if short else ""
    yield Check("warn" if short else "ok", "disk", f"{free / 1e9:.1f} GB free at {store}", advice)


def devices() -> Iterator[Check]:
    """The driver's GPUs, and whether the installed torch can use them."""
    names = gpu_names()
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Check("fail", "torch", f"cannot be imported: {error}", "install it anew: pip install --force-reinstall torch")
        return
    usable = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if len(names) > usable:
        found = f"the driver has {len(names)} ({names[0]}), torch {torch.__version__} can use {usable}"
        yield Check("fail", "GPU", found, "install the CUDA build of torch that fits the driver, or run with --gpus 0")
    elif usable:
        for number in range(usable):
            memory = torch.cuda.get_device_properties(number).total_memory
            yield Check("ok", "GPU", f"{number}: {torch.cuda.get_device_name(number)}, {memory / 1e9:.0f} GB")
    else:
        yield Check(
            "warn", "GPU", "none", "defake takes seconds a sample on a CPU with paper-size weights; the embedded ones are small"
        )


def weights(config: Config) -> Iterator[Check]:
    """Every stage's weights: are they there, can they be read, and what are their digests."""
    from fasgen.manifests.weights import digest_weights

    for name, spec in stages.specs().items():
        try:
            digests = digest_weights(spec.weights(config.stage(name)))
        except (FasgenError, OSError) as error:
            yield Check("fail", f"weights of {name}", str(error), f"see `fasgen stages` and set {name}'s weights")
            continue
        if digests:
            yield Check("ok", f"weights of {name}", ", ".join(f"{role} {digest[:12]}" for role, digest in digests.items()))


def one_sample(config: Config, gpus: int | None, image: Path | None) -> Iterator[Check]:
    """One picture through every stage, in this process; nothing is written into the store."""
    if image is None and not config.sources:
        yield Check(
            "warn", "one sample", "not tried: no source is configured", "name a picture of a face: fasgen doctor --image FILE"
        )
        return
    with tempfile.TemporaryDirectory(prefix="fasgen-doctor-") as scratch:
        try:
            chosen = _only(config, image, Path(scratch)) if image else config
            resources = claim(machine(), gpus, threads=config.threads)
            usable = _usable(config)
            plan = build_plan(chosen, usable, Path(scratch) / "store", resources=resources, targets=stages.STAGES)
        except (FasgenError, OSError) as error:
            yield Check("fail", "one sample", str(error), "mend this first; no stage was tried")
            return
        first = plan.listing.rows[0].path
        for seen in probe(plan, Path(scratch) / "made", rows=1):
            yield _judge(seen, first)
        for name in stages.STAGES:
            if name not in usable:
                yield Check("warn", f"one sample, {name}", "not tried: its weights, or those of a stage it reads, are missing")


def _usable(config: Config) -> list[str]:
    """The stages whose weights are there, as are those of all that they read."""
    usable: list[str] = []
    for name, spec in stages.specs().items():
        try:
            there = all(path.exists() for path in spec.weights(config.stage(name)).values())
        except FasgenError:
            there = False
        if there and all(read.stage in usable for read in spec.reads):
            usable.append(name)
    return usable


def _only(config: Config, image: Path, scratch: Path) -> Config:
    """``config`` with ``image`` as its one source."""
    from fasgen.sources.config import SourceConfig

    folder = scratch / "doctor"
    folder.mkdir()
    shutil.copy(image, folder / image.name)
    return config.model_copy(update={"sources": (SourceConfig(name="doctor", path=folder),)})


def _judge(seen: Probe, path: str) -> Check:
    what = f"one sample, {seen.stage}"
    if seen.summary is None:
        return Check("fail", what, seen.error, "the stages after it were not tried")
    seconds = seen.seconds
    times = f"{seconds.get('build', 0.0):.1f} s to build, {seconds.get('compute', 0.0):.2f} s to compute"
    if seen.summary.ok:
        return Check("ok", what, f"{path}: {times}")
    why = ", ".join(seen.summary.reasons) or "no row"
    if seen.summary.failed:
        return Check("fail", what, f"{path}: failed ({why})", "run with one source and --engine local to see more")
    return Check("warn", what, f"{path}: filtered ({why})", "try a picture with one clear face: fasgen doctor --image FILE")
