"""Points of the curve are means over the steps since the last one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from fasgen.training import curve as curves
from fasgen.training.curve import Curve
from fasgen.training.residency import Fetch


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


class Slow(Fetch):
    """Arrives when it is allowed to."""

    arrived = False

    def ready(self) -> bool:
        return Slow.arrived


def test_points_are_written_when_they_arrive_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "Fetch", Slow)
    curve = Curve(tmp_path, lambda line: None)
    for step in (1, 2):
        curve.add({"loss": torch.tensor(float(step))})
        curve.point(step, float(step), 0.1)
    assert curve.points() == []
    curve.validation(2, {"auc": 0.5})
    assert [point.get("loss", point.get("held_out_auc")) for point in curve.points()] == [1, 2, 0.5]
    monkeypatch.setattr(Slow, "arrived", True)
    curve.add({"loss": torch.tensor(3.0)})
    curve.point(3, 3.0, 0.1)
    assert curve.points()[-1]["loss"] == 3


def test_it_is_drawn_now_and_then_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(curves.time, "monotonic", lambda: now[0])
    curve, picture = Curve(tmp_path, lambda line: None), tmp_path / "curve.png"
    for step in range(1, 5):
        curve.add({"loss": torch.tensor(1 / step)})
        curve.point(step, 0.0, 0.1)
        # Tried at the first point, which is no line yet.
        assert picture.exists() == (step == 4)
        now[0] += 2 * curves.DRAWN_EVERY if step == 3 else 1
    picture.unlink()
    curve.flush()
    assert picture.exists()


def test_a_loss_that_is_not_finite_is_told_and_not_drawn(tmp_path: Path) -> None:
    curve = Curve(tmp_path, lambda line: None)
    for step, loss in enumerate((1.0, float("nan"), 2.0), 1):
        curve.add({"loss": torch.tensor(loss)})
        curve.point(step, 0.0, 0.1)
    curve.flush()
    assert len(curve.points()) == 3 and (tmp_path / "curve.png").exists()
