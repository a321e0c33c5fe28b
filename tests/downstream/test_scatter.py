"""Features in two dimensions: known components, a sign and an order that do not change, and what the picture tells."""

from __future__ import annotations

import builtins
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fasgen.downstream.drawing import Drawing
from fasgen.downstream.projection import neighbours, principal
from fasgen.downstream.scatter import MOST, Shown, draw_features
from fasgen.errors import ConfigError


def test_known_components() -> None:
    # Along (3, 4) / 5 at -2, 0, 2, across it at 1, -2, 1: variances 8 and 6, of which nothing correlates.
    along, across = np.array([-2.0, 0.0, 2.0]), np.array([1.0, -2.0, 1.0])
    x = along[:, None] * np.array([0.6, 0.8]) + across[:, None] * np.array([-0.8, 0.6]) + 100
    points, shares = principal(x)
    # The second's largest weight is -0.8 as it was put in, so that it comes out turned.
    assert np.allclose(points, np.stack([along, -across], 1)) and np.allclose(shares, (8 / 14, 6 / 14))


def test_what_is_not_there_is_zero() -> None:
    assert principal(np.ones((4, 3)))[0].tolist() == [[0.0, 0.0]] * 4 and principal(np.ones((4, 3)))[1] == (0.0, 0.0)
    line, shares = principal([[0.0], [1.0], [5.0]])
    assert np.allclose(line, [[-2, 0], [-1, 0], [3, 0]]) and shares == (1.0, 0.0)
    assert principal(np.empty((0, 3)))[0].shape == (0, 2) and principal(np.empty((2, 0)))[0].shape == (2, 2)
    assert principal([[1.0, 2.0]])[0].tolist() == [[0.0, 0.0]]


finite = st.floats(-100, 100, allow_nan=False, width=32)


@given(arrays.arrays(np.float64, st.tuples(st.integers(2, 8), st.integers(2, 5)), elements=finite))
def test_components_are_centred_uncorrelated_in_order_and_as_good_as_any(x: Any) -> None:
    points, shares = principal(x)
    scale = max(float(np.square(x - x.mean(0)).sum()), 1e-6)
    assert np.allclose(points.mean(0), 0, atol=1e-6 * math.sqrt(scale) + 1e-9)
    spread = points.T @ points
    assert abs(spread[0, 1]) <= 1e-6 * scale and spread[0, 0] >= spread[1, 1] - 1e-6 * scale
    assert 0 <= shares[1] <= shares[0] + 1e-9 and sum(shares) <= 1 + 1e-9
    # The largest eigenvalues of the scatter matrix, by another way.
    wanted = np.sort(np.linalg.eigvalsh((x - x.mean(0)).T @ (x - x.mean(0))))[::-1][:2]
    assert np.allclose(np.diag(spread), wanted, atol=1e-6 * scale)


def test_the_sign_is_that_of_the_largest_weight() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4)) * [5.0, 3.0, 1.0, 0.5]
    points, _ = principal(x)
    assert np.allclose(principal(x[::-1])[0], points[::-1])
    assert np.corrcoef(points[:, 0], x[:, 0])[0, 1] > 0.9 and np.corrcoef(points[:, 1], x[:, 1])[0, 1] > 0.9


def shown(count: int, **more: Any) -> list[Shown]:
    return [Shown(f"{number:016x}", number % 2, "print", f"set-{number % 3}", **more) for number in range(count)]


def marks(page: Drawing) -> list[tuple[str, str]]:
    """Corners and colour of every filled mark."""
    return [
        (len(points.split()), colour) for points, colour in re.findall(r'<polygon points="([^"]+)" fill="(#\w+)"', page.svg())
    ]


def test_the_picture_names_what_it_tells() -> None:
    samples = [
        Shown("a", 1, dataset="one"),
        Shown("b", 0, "replay", "two"),
        Shown("c", 0, "print", "one", True),
        Shown("d", -1),
    ]
    page = draw_features(np.eye(4), samples, "pca", "mine")
    svg = page.svg()
    for words in (
        "Features, PCA",
        "mine",
        "live",
        "print",
        "replay",
        "unknown",
        "one",
        "two",
        "no data set",
        "generated",
        "33.3 % of",
    ):
        assert f">{words}" in svg or words in svg, words
    blue, white = "#145096", "#ffffff"
    # Four samples; a colour each of live, two attacks and unknown; three data sets; generated.
    assert len(marks(page)) == 4 + 4 + 3 + 1 and [c for _, c in marks(page)].count(white) == 2
    assert (12, blue) in marks(page) or (4, blue) in marks(page)
    assert page.pdf().startswith(b"%PDF-1.4")
    alone = draw_features(np.eye(2), samples[:1] * 2, "pca", "")
    assert ">one<" not in alone.svg() and "generated" not in alone.svg()


def test_all_points_lie_in_the_frame_and_distances_have_one_scale() -> None:
    square = np.array([[0.0, 0], [4, 0], [4, 1], [0, 1]])
    page = draw_features(square, shown(4), "pca", "")
    corners = [
        np.array([[float(v) for v in p.split(",")] for p in one.split()])
        for one in re.findall(r'<polygon points="([^"]+)"', page.svg())
    ]
    middles = np.array([(c.max(0) + c.min(0)) / 2 for c in corners[:4]])
    width, height = np.ptp(middles, 0)
    assert middles.min() > 50 and middles[:, 0].max() < 373 and abs(width / height - 4) < 0.2


def test_of_many_a_part_is_drawn_by_id_and_said() -> None:
    many = shown(MOST + 10)
    features = np.random.default_rng(0).normal(size=(len(many), 3))
    page = draw_features(features, many, "pca", "")
    assert f"{MOST:,} of {MOST + 10:,} samples are drawn" in page.svg()
    order = np.random.default_rng(1).permutation(len(many))
    assert draw_features(features[order], [many[i] for i in order], "pca", "").svg().count("<polygon") == page.svg().count(
        "<polygon"
    )


def test_tsne_keeps_groups_apart_and_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    generator = np.random.default_rng(0)
    x = np.concatenate([generator.normal(size=(15, 6)), generator.normal(size=(15, 6)) + 30])
    first, second = neighbours(x), neighbours(x)
    assert np.array_equal(first, second)
    inside = max(np.linalg.norm(part - part.mean(0), axis=1).max() for part in (first[:15], first[15:]))
    assert np.linalg.norm(first[:15].mean(0) - first[15:].mean(0)) > inside
    assert "t-SNE, no unit" in draw_features(x, shown(30), "tsne", "").svg()
    with pytest.raises(ConfigError, match="at least 4 samples, there are 3"):
        neighbours(x[:3])
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"pip install 'fasgen\[tsne\]'"):
        neighbours(x)
