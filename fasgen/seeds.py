"""From identity to seed, from seed to noise. Nothing else in fasgen draws random numbers for a sample."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def sample_seed(run_seed: int, stage: str, sample_id: str, variant: int = 0) -> int:
    """Seed of one sample at one stage: the first 8 bytes of SHA-256 over its identity.

    Args:
        run_seed: the run's seed, any integer.
        stage: stage name.
        sample_id: id of the sample.
        variant: number of the variant, 0 for one-to-one stages.

    Returns:
        an integer in ``[0, 2**63)``, the same on every machine.
    """
    key = "\x1f".join((str(run_seed), stage, sample_id, str(variant))).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 1


def normal_noise(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal noise of ``shape`` from ``seed`` alone, drawn on the CPU (Philox 4x64).

    The same seed gives the same bytes whatever the device, batch or worker, so a sample's noise never depends on company.
    """
    return np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape, dtype=np.float32)
