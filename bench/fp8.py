"""What eight bits cost in quality: ``python -m bench.fp8``.

Faces of the London set are de-faked in float32, in bfloat16, in float8, and in float32 from another noise draw. The gate:
float8 moves a reconstruction less than another draw of the noise does. Needs ``FASGEN_DATA``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fasgen.stages.stage import Product, Sample

BATCH = 16


def faces(folder: Path, count: int) -> list[Sample]:
    """Aligned crops of the first ``count`` neutral portraits in which a face is found, with their identity maps."""
    import torch

    from fasgen.sources.config import Limits
    from fasgen.sources.image import decode_image
    from fasgen.stages.align.config import AlignConfig
    from fasgen.stages.align.stage import Align
    from fasgen.stages.identify.config import IdentifyConfig
    from fasgen.stages.identify.stage import Identify

    cpu = torch.device("cpu")
    align, identify = Align(AlignConfig(), cpu), Identify(IdentifyConfig.model_validate({"batch": 1}), cpu)
    found: list[Sample] = []
    for path in sorted(folder.glob("*/neutral.jpg")):
        if len(found) == count:
            break
        image = decode_image(path.read_bytes(), Limits())
        sample = Sample(f"{len(found):016x}", 0, 0, {"image": image})
        (crop,) = align([sample])
        if not isinstance(crop, Product):
            continue
        number = len(found)
        values = {name: crop.values[name] for name in ("landmarks", "transform")}
        face = Sample(sample.sample_id, 1 + number, 0, dict(crop.images), values=values)
        (known,) = identify([face])
        assert isinstance(known, Product)
        found.append(replace(face, slot=number % BATCH, arrays=dict(known.arrays)))
    return found


def reconstructions(samples: Sequence[Sample], dtype: str, draw: int = 0, **more: Any) -> np.ndarray[Any, Any]:
    """(N, H, W, 3) levels by the embedded generator, each sample from the seed ``draw`` after its own."""
    import torch

    from fasgen.stages.defake.config import DefakeConfig
    from fasgen.stages.defake.stage import Defake

    config = DefakeConfig.model_validate({"batch": BATCH, "dtype": dtype, "reconstruction": True} | more)
    stage = Defake(config, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    out = []
    for first in range(0, len(samples), BATCH):
        batch = [replace(sample, seed=sample.seed + 10_000 * draw) for sample in samples[first : first + BATCH]]
        products = stage(batch)
        out += [product.images["reconstruction"] for product in products if isinstance(product, Product)]
    return np.stack(out).astype(np.float64)


def price(samples: Sequence[Sample], **more: Any) -> dict[str, float]:
    """Mean absolute difference from the reconstruction in float32, levels: of each way, and of each face's largest.

    Args:
        samples: the faces.
        more: settings of defake.
    """
    exact = reconstructions(samples, "fp32", **more)
    ways = {
        "bf16": reconstructions(samples, "bf16", **more),
        "fp8": reconstructions(samples, "fp8", **more),
        "another draw": reconstructions(samples, "fp32", 1, **more),
    }
    apart = {name: np.abs(made - exact).mean((1, 2, 3)) for name, made in ways.items()}
    figures = {name: float(values.mean()) for name, values in apart.items()}
    figures |= {f"{name}, worst face": float(values.max()) for name, values in apart.items()}
    figures["faces that float8 moves more than the draw"] = float((apart["fp8"] >= apart["another draw"]).sum())
    # Against itself in the other narrow type, as on a GPU.
    figures["fp8 from bf16"] = float(np.abs(ways["fp8"] - ways["bf16"]).mean())
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.fp8", description="What eight bits cost in quality.")
    parser.add_argument("--faces", type=int, default=64, help="how many")
    given = parser.parse_args()
    samples = faces(Path(os.environ["FASGEN_DATA"]) / "london", given.faces)
    print(f"{len(samples)} faces, embedded generator; mean absolute difference from float32, levels")
    for name, value in price(samples).items():
        print(f"{name:45} {value:.3f}")


if __name__ == "__main__":
    main()
