"""Asking for more than there is; what is counted without importing torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fasgen.errors import ResourceError
from fasgen.pipeline.resources import Have, Resources, claim, domain, gpu_names, usable_cpus

BOX = Have(gpus=2, cpus=16, accelerator="NVIDIA H200")


def test_all_of_it_unless_asked() -> None:
    assert claim(BOX) == Resources(2, 14, "NVIDIA H200")
    assert claim(BOX, gpus=0) == Resources(0, 16)
    assert claim(BOX, 1, 4, threads=2) == Resources(1, 4, "NVIDIA H200", 2)
    assert claim(BOX, 2).kinds.count("accelerator") == 2


@pytest.mark.parametrize(
    ("gpus", "cpus", "says"),
    [
        (8, None, "asked for 8 GPUs, but this machine has 2"),
        (None, 17, "asked for 17 CPU cores, but this machine has 16"),
        (-1, None, "negative"),
        (0, 0, "nothing to run on"),
    ],
)
def test_more_than_there_is_is_refused_with_both_numbers(gpus: int | None, cpus: int | None, says: str) -> None:
    with pytest.raises(ResourceError, match=says):
        claim(BOX, gpus, cpus)


@pytest.mark.parametrize(
    ("visible", "count"),
    [(None, 2), ("", 0), ("1", 1), ("1,0", 2), ("0,7,1", 1), ("GPU-bb", 1), ("-1", 0), ("MIG-xyz", 1)],
)
def test_gpus_are_counted_as_cuda_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, count: int
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '0, GPU-aa, NVIDIA H200'\necho '1, GPU-bb, NVIDIA H200'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_names() == ["NVIDIA H200"] * count


def test_the_domain_names_the_device_that_a_stage_runs_on() -> None:
    on_gpu, on_cpu = (domain(claim(BOX), accelerator=flag) for flag in (True, False))
    assert on_gpu["device"] == "NVIDIA H200" and on_cpu["device"] != "NVIDIA H200"
    assert domain(claim(BOX, 0), accelerator=True) == domain(claim(BOX, 0), accelerator=False)
    assert usable_cpus() >= 1


def test_planning_imports_neither_torch_nor_ray() -> None:
    program = (
        "import sys, fasgen.pipeline.plan, fasgen.pipeline.run; sys.exit(bool({'torch', 'ray', 'cv2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
