"""BRISQUE by the PyPI package ``brisque`` 0.2.0 itself: the reference that fasgen's scores must equal.

Run as a script it writes ``golden.csv`` anew. The package imports two libraries that a plain installation may lack; where they
are absent, their two functions that matter are stood in for here: RGB to grey, and LIBSVM's prediction.
"""

from __future__ import annotations

import csv
import sys
import types
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FLAT = 1e-12
GREY = (0.2125, 0.7154, 0.0721)


def _stand_in(name: str, **attributes: Any) -> None:
    module = types.ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def _prepare() -> None:
    if "skimage" not in sys.modules and find_spec("skimage") is None:
        _stand_in("skimage")
        _stand_in("skimage.io")
        _stand_in("skimage.color", rgb2gray=lambda image: image / 255.0 @ np.array(GREY))
    if "libsvm" not in sys.modules and find_spec("libsvm") is None:
        _stand_in("libsvm")
        _stand_in("libsvm.svmutil", svm_load_model=_text_model, libsvm=None)


def _text_model(path: str) -> tuple[NDArray[np.float64], NDArray[np.float64], float, float]:
    head, _, body = Path(path).read_text("ascii").partition("SV\n")
    header = dict(line.split(" ", 1) for line in head.splitlines())
    rows = [line.split() for line in body.splitlines()]
    vectors = np.array([[float(cell.split(":")[1]) for cell in row[1:]] for row in rows])
    return np.array([float(row[0]) for row in rows]), vectors, float(header["gamma"]), float(header["rho"])


class Reference:
    """The package's score.

    Args:
        quiet: take differences from the local mean below 1e-12 as zero. In flat patches they are rounding noise, whose sign
            decides on which side of the distribution the package counts a pixel.
    """

    def __init__(self, quiet: bool = False) -> None:
        _prepare()
        from brisque.brisque import BRISQUE
        from scipy.signal import convolve2d

        class Package(BRISQUE):  # type: ignore[misc]
            def calculate_brisque_features(self, *args: Any, **kwargs: Any) -> Any:
                # One-element arrays among the features, which NumPy 2.4 no longer takes for numbers.
                return np.array([np.asarray(v, float).item() for v in super().calculate_brisque_features(*args, **kwargs)])

            def calculate_mscn_coefficients(self, image: Any, kernel_size: int = 6, sigma: float = 7 / 6) -> Any:
                m = super().calculate_mscn_coefficients(image, kernel_size, sigma)
                mean = convolve2d(image, self.gaussian_kernel2d(kernel_size, sigma=sigma), "same")
                flat = np.abs(image - mean) <= FLAT
                self.flat = self.flat or bool(flat.any())
                return np.where(flat, 0.0, m) if quiet else m

            def calculate_image_quality_score(self, features: Any) -> Any:
                if not isinstance(self.model, tuple):
                    return super().calculate_image_quality_score(features)
                coefficients, vectors, gamma, rho = self.model
                distance = ((self.scale_features(features) - vectors) ** 2).sum(1)
                return float(np.exp(-gamma * distance) @ coefficients - rho)

        self._package = Package(url=False)

    def __call__(self, image: NDArray[np.uint8]) -> float:
        """Score of an RGB image; ``flat`` then says whether it has flat patches."""
        self._package.flat = False
        return float(self._package.score(image))

    @property
    def flat(self) -> bool:
        """Whether the last image has a patch in which every level is equal."""
        return bool(self._package.flat)


if __name__ == "__main__":
    from pictures import KINDS, picture

    plain, quiet = Reference(), Reference(quiet=True)
    with (Path(__file__).parent / "golden.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "seed", "brisque_0.2.0", "without_rounding_noise"])
        for kind in KINDS:
            for seed in (1, 2, 3):
                writer.writerow([kind, seed, repr(plain(picture(kind, seed))), repr(quiet(picture(kind, seed)))])
