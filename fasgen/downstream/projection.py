"""Features in two dimensions, to be looked at: principal components, or t-SNE."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fasgen.errors import ConfigError

Points = NDArray[np.float64]

SEED, PERPLEXITY = 0, 30.0


def principal(features: ArrayLike) -> tuple[Points, tuple[float, float]]:
    """The two principal components, exactly, by singular values of the centred features.

    Of the two directions of a component that one is taken in which its largest weight, of several the first, is above 0.

    Args:
        features: (N, F), finite.

    Returns:
        (N, 2), and the share of the variance of either, in [0, 1]; zeros where there is no more to tell samples apart by.
    """
    x = np.asarray(features, np.float64)
    if not x.size:
        return np.zeros((len(x), 2)), (0.0, 0.0)
    left, values, directions = np.linalg.svd(x - x.mean(0), full_matrices=False)
    largest = np.abs(directions).argmax(1)
    sign = np.where(directions[np.arange(len(directions)), largest] < 0, -1.0, 1.0)
    # What rounding leaves of a variance that is not there is none.
    values = np.where(values > values[0] * max(x.shape) * np.finfo(np.float64).eps, values, 0.0)
    points = np.zeros((len(x), 2))
    count = min(2, len(values))
    points[:, :count] = (left * values * sign)[:, :count]
    total = float(np.square(values).sum())
    first, second, *_ = [float(value) / total for value in np.square(values)[: 2 if total else 0]] + [0.0, 0.0]
    return points, (first, second)


def neighbours(features: ArrayLike) -> Points:
    """t-SNE (van der Maaten and Hinton 2008) from the principal components, perplexity 30 or what fits few samples.

    Distances between far groups, and their sizes, mean nothing there.

    Args:
        features: (N, F), finite.

    Returns:
        (N, 2); the same for the same features on one machine.

    Raises:
        ConfigError: scikit-learn, which computes it, is not installed; or there are fewer than four samples.
    """
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise ConfigError("t-SNE needs scikit-learn: pip install 'fasgen[tsne]', or take pca") from None
    x = np.asarray(features, np.float64)
    if len(x) < 4:
        raise ConfigError(f"t-SNE needs at least 4 samples, there are {len(x)}: take pca")
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    found: Points = TSNE(init="pca", perplexity=perplexity, random_state=SEED).fit_transform(x).astype(np.float64)
    return found
