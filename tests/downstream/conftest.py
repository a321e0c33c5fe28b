"""A small packed set whose cue tells spoof from live and whose image does not."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

SIDE = 32


def sample(
    dataset: str, subject: str, label: int, number: int, *, synthetic: bool = False, brisque: float | None = 20.0
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Record and members of one made-up sample; a spoof's residual carries stripes."""
    rng = np.random.default_rng([ord(dataset[0]), len(subject), int(subject[-1:] or 0), label, number, synthetic])
    image = rng.integers(60, 200, (SIDE, SIDE, 3)).astype(np.uint8)
    stripes = 30 * np.sign(np.sin(np.arange(SIDE) * 1.6))[None, :, None] * (1 - label)
    cue = (rng.normal(0, 10, (SIDE, SIDE, 3)) + stripes).round().astype(np.int16)
    kind = None if label else ("synthetic" if synthetic else ("print", "replay")[number % 2])
    name = f"{dataset}-{subject}-{label}-{number}{'-s' if synthetic else ''}"
    record = {
        "sample_id": name,
        "dataset": dataset,
        "subject": f"{dataset}/{subject}" if subject else None,
        "style_subject": f"{dataset}/{subject}" if synthetic else None,
        "label": ("spoof", "live")[label],
        "label_index": label,
        "attack_type": kind,
        "domain": f"{dataset}|?|{kind or 'live'}",
        "split": "train",
        "path": f"{subject}/{('spoof', 'live')[label]}-{number}.jpg",
        "frame": None,
        "synthetic": synthetic,
        "cues": {"residual": {"one": 127.5}},
        "quality": {"brisque": None if brisque is None else brisque + number},
    }
    stream = io.BytesIO()
    np.save(stream, cue)
    members = {
        "png": cv2.imencode(".png", image)[1].tobytes(),
        "residual.npy": stream.getvalue(),
        "json": json.dumps(record).encode(),
    }
    return record, members


Samples = Sequence[tuple[dict[str, Any], dict[str, bytes]]]


def write(folder: Path, samples: Samples) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "fas-000000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for record, members in samples:
            for extension, data in members.items():
                info = tarfile.TarInfo(f"{record['sample_id']}.{extension}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    (folder / "index.json").write_text(json.dumps({"shards": [{"name": "fas-000000.tar", "samples": len(samples)}]}))
    return folder


@pytest.fixture(scope="session")
def pack() -> Callable[[Path, Samples], Path]:
    return write


@pytest.fixture(scope="session", name="sample")
def _sample() -> Callable[..., tuple[dict[str, Any], dict[str, bytes]]]:
    return sample


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three data sets of three subjects, each with six live, six spoof and two synthetic spoof samples."""
    samples = [
        sample(dataset, subject, label, number)
        for dataset in ("a", "b", "c")
        for subject in ("s1", "s2", "s3")
        for label in (1, 0)
        for number in range(6)
    ]
    samples += [sample(d, s, 0, n, synthetic=True) for d in "abc" for s in ("s1", "s2", "s3") for n in range(2)]
    return write(tmp_path_factory.mktemp("packed") / "pack-1", samples)
