from __future__ import annotations

import numpy as np
import pytest

from fasgen.stages.physical.sheet import DISTANCE, Pose, Surface, View, bent, diffuse, gloss
from tests.stages.physical.pictures import picture


@pytest.mark.parametrize("size", [(64, 64), (33, 71)])
def test_a_flat_sheet_lies_where_it_is_seen(size: tuple[int, int]) -> None:
    surface = Surface(View(*size), Pose())
    x, y = surface.places
    rows, columns = np.indices(size)
    assert np.abs(x - columns).max() < 1e-3 and np.abs(y - rows).max() < 1e-3
    plane = picture(*size).astype(np.float32)
    assert surface.carried(plane) is plane


@pytest.mark.parametrize(
    "pose",
    [
        Pose(tilt_x=30, tilt_y=-20),
        Pose(bend=70, bend_axis=90),
        Pose(bend=50, bend_axis=33, tilt_x=10),
        Pose(fold=60, fold_axis=70, fold_place=0.3),
    ],
)
@pytest.mark.parametrize("size", [(96, 96), (40, 120)])
def test_nothing_from_beyond_the_photograph_is_seen(pose: Pose, size: tuple[int, int]) -> None:
    x, y = Surface(View(*size), pose).places
    slack = 1e-3
    assert x.min() >= -slack and x.max() <= size[1] - 1 + slack
    assert y.min() >= -slack and y.max() <= size[0] - 1 + slack


def test_a_cylinder_is_unrolled() -> None:
    view, kappa = View(128, 128), np.radians(60)
    nodes = bent(view, Pose(bend=60, bend_axis=90))
    row = np.argmin(np.abs(nodes.y[:, 0]))
    arc = nodes.u[row] / nodes.u[row].max() * 0.5
    arc /= np.abs(arc[1:-1]).max() / 0.5
    # Forward: arc length to the place on the camera's plane, with the perspective of what lies behind.
    true_arc = np.linspace(-0.6, 0.6, 2001)
    behind = (1 - np.cos(kappa * true_arc)) / kappa
    seen = np.sin(kappa * true_arc) / kappa * DISTANCE / (DISTANCE + behind)
    wanted = np.interp(nodes.x[row], seen, true_arc)
    wanted *= 0.5 / np.abs(wanted[1:-1]).max()
    assert np.abs(arc - wanted)[1:-1].max() < 2e-3


def test_the_side_turned_to_the_lamp_is_brighter() -> None:
    nodes = bent(View(64, 64), Pose(bend=60, bend_axis=90))
    light = diffuse(nodes, 0.0, 0.0)
    middle = light.shape[0] // 2
    assert light[middle, 2] != pytest.approx(light[middle, -3], abs=0.05)
    flat = diffuse(bent(View(64, 64), Pose()), 0.0, 0.2)
    assert flat[middle, -3] > flat[middle, 2]


def test_lambert_on_a_flat_sheet_is_one() -> None:
    assert diffuse(bent(View(64, 64), Pose()), 77.0, 0.0) == pytest.approx(1)


def test_a_highlight_lies_where_it_is_put_and_bending_narrows_it_to_a_streak() -> None:
    view = View(128, 128)
    flat, curved = (bent(view, Pose(bend=bend, bend_axis=90)) for bend in (0, 60))
    spot, streak = (view.fine(gloss(nodes, 0.2, -0.1, 0.15)) for nodes in (flat, curved))
    row, column = np.unravel_index(np.argmax(spot), spot.shape)
    assert (column + 0.5) / 128 - 0.5 == pytest.approx(0.2, abs=0.03)
    assert (row + 0.5) / 128 - 0.5 == pytest.approx(-0.1, abs=0.03)
    wide = [(shine > 0.5).any(0).sum() for shine in (spot, streak)]
    tall = [(shine > 0.5).any(1).sum() for shine in (spot, streak)]
    assert wide[1] < 0.4 * wide[0] and tall[1] > 0.8 * tall[0]
