"""Points of the curve are means over the steps since the last one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fasgen.training.curve import Curve


@pytest.mark.parametrize("count", [1, 5, 64, 200])
def test_means_of_known_losses(tmp_path: Path, count: int) -> None:
    """Also where more steps pass than are kept on the device, and where a part is told in some steps only."""
    said: list[str] = []
    curve = Curve(tmp_path, said.append)
    for first in (0, 1000):
        for step in range(count):
            told = {"loss": torch.tensor(float(first + step), requires_grad=True)}
            curve.add(told | ({"odd": torch.tensor([1.0])} if step % 2 else {}))
        curve.point(first + count, 1.0, 0.1)
    points = curve.points()
    assert [point["loss"] for point in points] == [(count - 1) / 2, 1000 + (count - 1) / 2]
    assert points[0].get("odd", 0) == round(count // 2 / count, 6) and len(said) == 2


def test_what_changes_after_it_was_told_does_not_count(tmp_path: Path) -> None:
    curve = Curve(tmp_path, lambda line: None)
    weight = torch.tensor(2.0, dtype=torch.float64)
    curve.add({"loss": weight})
    weight += 5
    curve.point(1, 1.0, 0.1)
    assert curve.points()[0]["loss"] == 2
