"""Bands of a pulsed backlight under a rolling shutter. Simulated.

The backlight is on for a share ``duty`` of each of its periods. A row of the sensor is exposed for ``opened`` periods, each row
a little later than the one above: row r sees the mean of the square wave over [t_r, t_r + opened]. Integrated in closed form;
whole numbers of periods leave no band.
"""

from __future__ import annotations

import numpy as np

from fasgen.stages.physical.tone import Plane


def bands(rows: int, *, depth: float, count: float, duty: float, opened: float, phase: float) -> Plane:
    """Factor of the light in each row, mean 1 over a period.

    Args:
        rows: rows of the sensor.
        depth: contrast of the backlight, 0 (steady) to 1 (on and off).
        count: periods from the first to the last row.
        duty: share of a period that it is on, [0, 1].
        opened: exposure of a row, periods, above 0.
        phase: where in a period the first row begins, [0, 1].
    """
    start = phase + count * (np.arange(rows) + 0.5) / rows

    def lit(time: np.ndarray) -> np.ndarray:
        """Time that the light was on from 0 to ``time``, periods."""
        whole = np.floor(time)
        return np.asarray(whole * duty + np.minimum(time - whole, duty))

    mean = (lit(start + opened) - lit(start)) / opened
    factor = 1 + depth * (mean / duty - 1) if duty > 0 else np.ones(rows)
    return factor.astype(np.float32)
