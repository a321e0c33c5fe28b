"""Checks of a machine before a night's work is given to it. Each says what was found and what to do about it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fasgen import stages
from fasgen.errors import FasgenError
from fasgen.manifests.weights import digest_weights
from fasgen.pipeline.libraries import Check
from fasgen.pipeline.resources import gpu_names, usable_cpus
from fasgen.sources.scan import scan
from fasgen.stages.compiled import compile_cache

if TYPE_CHECKING:
    from fasgen.config import Config

SHM_BYTES = 1 << 30
"""Ray keeps its object store in shared memory; below this it falls back to the disk and warns."""
DISK_BYTES = 10 << 30
"""Below this much free disk a night's run is likely to end early."""
OPEN_FILES = 4096
"""Ray holds a few descriptors a worker and connection."""


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
    import torch

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


def sources(config: Config) -> Iterator[Check]:
    """Every source: is it there, and how many rows has it."""
    if not config.sources:
        yield Check(
            "warn",
            "sources",
            "none is configured, so there is nothing to run yet",
            "name your folder in fasgen.yaml (`sources: faces`), or on the command line: sources=FOLDER",
        )
    for source in config.sources:
        try:
            found = scan(source)
        except (FasgenError, OSError) as error:
            yield Check("fail", f"source {source.name}", str(error).removeprefix(f"source {source.name}: "))
            continue
        yield Check("ok", f"source {source.name}", f"{len(found)} rows in {source.path}")


def weights(config: Config, names: Iterable[str]) -> Iterator[Check]:
    """The weights of some stages: are they there, can they be read, and what are their digests."""
    for name in names:
        spec = stages.specs()[name]
        try:
            digests = digest_weights(spec.weights(config.stage(name)))
        except (FasgenError, OSError) as error:
            yield Check("fail", f"weights of {name}", str(error), f"see `fasgen stages` and set {name}'s weights")
            continue
        if digests:
            yield Check("ok", f"weights of {name}", ", ".join(f"{role} {digest[:12]}" for role, digest in digests.items()))
