"""What this machine has, what a run asks for, and the kind of machine that bytes depend on."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fasgen.errors import ResourceError
from fasgen.pipeline.events import Kind

LIBRARIES = ("torch", "numpy", "opencv-python-headless", "diffusers", "numcodecs", "pyarrow", "safetensors")
"""Whose versions may change a product's bytes."""


@dataclass(frozen=True, slots=True)
class Have:
    """What there is.

    Attributes:
        gpus: number of GPUs.
        cpus: number of CPU cores.
        accelerator: the GPUs' name; empty without one.
        where: ``this machine`` or the cluster's address, for messages.
        devices: the name of each GPU, in order; of a cluster, of each kind of GPU.
    """

    gpus: int
    cpus: int
    accelerator: str = ""
    where: str = "this machine"
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resources:
    """What a run uses.

    Attributes:
        gpus: single-GPU workers.
        cpus: CPU workers.
        accelerator: the GPUs' name; empty without one.
        threads: threads of a worker's numerical libraries.
        address: the cluster's address; empty for this machine.
        devices: the name of each GPU, or of each kind of them.
        growing: of a cluster, the kinds of worker of which more are hired when nodes come; with how many at most.
    """

    gpus: int
    cpus: int
    accelerator: str = ""
    threads: int = 1
    address: str = ""
    devices: tuple[str, ...] = ()
    growing: Mapping[Kind, int] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """The kinds of GPU, each once; one without a name is called GPU."""
        return tuple(dict.fromkeys(self.devices)) or (self.accelerator or "GPU",)

    @property
    def kinds(self) -> list[Kind]:
        """The kind of every worker."""
        gpus: list[Kind] = ["accelerator" for _ in range(self.gpus)]
        cpus: list[Kind] = ["cpu" for _ in range(self.cpus)]
        return gpus + cpus


def claim(have: Have, gpus: int | None = None, cpus: int | None = None, *, threads: int = 1, address: str = "") -> Resources:
    """What a run may use of ``have``: what was asked for, or all of it.

    Of a cluster more may be asked for than there is: nodes come and go. All of it then means whatever comes.

    Raises:
        ResourceError: more was asked for than this machine has, or nothing at all.
    """
    _check("GPU", "gpus", gpus, have.gpus, have.where, growing=bool(address))
    _check("CPU core", "cpus", cpus, have.cpus, have.where, growing=bool(address))
    if gpus == 0 and cpus == 0:
        raise ResourceError("--gpus 0 --cpus 0 leaves nothing to run on; ask for at least one CPU core")
    taken = have.gpus if gpus is None else gpus
    # The driver and the GPU workers' loaders need cores as well, but one CPU worker there must be.
    left = max(1, have.cpus - taken) if cpus is None else cpus
    devices = have.devices[:taken] if len(have.devices) == have.gpus else have.devices
    growing: dict[Kind, int] = {}
    if address and gpus is None and taken:
        growing["accelerator"] = sys.maxsize
    if address and cpus is None:
        growing["cpu"] = sys.maxsize
    return Resources(taken, left, have.accelerator if taken else "", threads, address, devices if taken else (), growing)


def _check(what: str, option: str, asked: int | None, has: int, where: str, *, growing: bool) -> None:
    if asked is None:
        return
    if asked < 0:
        raise ResourceError(f"--{option} {asked} is negative")
    if asked > has and not growing:
        change = f"ask for at most {has}" if has else f"leave --{option} out, and it runs on what there is"
        raise ResourceError(f"--{option} {asked}: asked for {_count(asked, what)}, but {where} has {has}; {change}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


@cache
def machine() -> Have:
    """This machine's visible GPUs and usable cores. Imports nothing heavy."""
    names = gpu_names()
    return Have(len(names), usable_cpus(), names[0] if names else "", devices=tuple(names))


def gpu_names() -> list[str]:
    """Names of the NVIDIA GPUs that ``CUDA_VISIBLE_DEVICES`` leaves visible, as the driver's own tool tells."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        told = subprocess.run(
            [tool, "--query-gpu=index,uuid,name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    found = [tuple(part.strip() for part in line.split(",", 2)) for line in told.stdout.splitlines() if line.count(",") >= 2]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [name for _, _, name in found]
    names: list[str] = []
    for wanted in visible.split(","):
        match = [
            name
            for index, uuid, name in found
            if wanted.strip() and (index == wanted.strip() or uuid.startswith(wanted.strip()))
        ]
        if not match and not wanted.strip().startswith("MIG-"):
            # CUDA stops at the first entry that it does not know.
            break
        names.append(match[0] if match else found[0][2] if found else "MIG")
    return names


def usable_cpus() -> int:
    """Cores that this process may use: affinity and the control group's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))


def processor() -> str:
    """The class of CPU as far as it decides floating-point results: architecture and widest vector unit."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text("utf-8", "replace").partition("flags")[2].partition("\n")[0].split())
    except OSError:
        flags = set()
    widest = next((name for name in ("avx512f", "avx2", "avx", "sse4_2") if name in flags), "")
    return f"{platform.machine()} {widest}".strip()


@cache
def library_versions() -> Mapping[str, str]:
    """Installed versions of :data:`LIBRARIES`, without importing them."""
    found: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def worker_environment(threads: int) -> dict[str, str]:
    """Environment variables of a process that computes, with ``threads`` threads of every numerical library."""
    libraries = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    # cuBLAS is deterministic over streams only with a fixed workspace.
    return {**{name: str(threads) for name in libraries}, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def domain(resources: Resources, *, accelerator: bool, measured: bool = False) -> dict[str, object]:
    """The determinism domain of a stage on this machine: between two equal ones, the same plan gives the same bytes.

    Args:
        resources: what the run uses.
        accelerator: whether the stage runs on a GPU where there is one.
        measured: as in `stage_domain`.
    """
    on_gpu = accelerator and resources.gpus > 0
    return stage_domain(_domain(resources.accelerator if on_gpu else processor(), resources.threads), measured=measured)


def own_domain(*, accelerator: bool, threads: int) -> dict[str, object]:
    """The determinism domain of a worker in this process."""
    device = processor()
    if accelerator:
        names = gpu_names()
        if names:
            device = names[0]
        else:
            import torch

            device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return _domain(device, threads)


def stage_domain(worker: Mapping[str, object], *, measured: bool) -> dict[str, object]:
    """The determinism domain of a stage on a worker.

    Args:
        worker: the worker's.
        measured: whether the stage's kernels are chosen by measuring them. Each machine is then a domain of its own, and so
            is every time that it measures anew; the domain says no more than that.
    """
    return ({"kernels": "measured"} if measured else {}) | dict(worker)


def domain_digest(domain: Mapping[str, object]) -> str:
    """By what units name the domain that they were made in: 16 hex digits."""
    text = json.dumps(dict(domain), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _domain(device: str, threads: int) -> dict[str, object]:
    return {
        "device": device,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "libraries": dict(library_versions()),
        "threads": threads,
    }


def process_seconds() -> float:
    """For how long this process has been there; 0 where the machine does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):
        return 0.0


def peak_rss() -> int:
    """Peak resident memory of this process, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if os.uname().sysname == "Darwin" else peak * 1024
