"""Noise levels by published values; predictions by inversion."""

from __future__ import annotations

import pytest
import torch

from fasgen.stages.denoising.schedule import Prediction, abar_schedule, clean_weights, noised, split, target

ABAR = abar_schedule(1000, 0.00085, 0.012, "scaled_linear")


@pytest.mark.parametrize(("t", "value"), [(200, 0.754), (400, 0.425), (600, 0.161), (800, 0.037)])
def test_schedule_has_the_published_values(t: int, value: float) -> None:
    assert float(ABAR[t]) == pytest.approx(value, abs=2.5e-3)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_split_inverts_noising(prediction: Prediction) -> None:
    z_0, eps, a = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4), torch.tensor(0.3)
    z_t, output = noised(z_0, eps, a), target(z_0, eps, a, prediction)
    back = split(z_t, output, a, prediction)
    assert torch.allclose(back[0], z_0, atol=1e-5) and torch.allclose(back[1], eps, atol=1e-5)
    of_z_t, of_output = clean_weights(a, prediction)
    assert torch.allclose(of_z_t * z_t + of_output * output, z_0, atol=1e-5)


def test_unknown_schedule_is_named() -> None:
    with pytest.raises(ValueError, match="squared"):
        abar_schedule(10, 0.1, 0.2, "squared")
