"""Searches the |x0| of a layer's ShiftGELU whose actual table has the least error on calibration rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from firmware.float_models.blocks import FloatArray
from sim.reference.arithmetic import OFFICIAL
from sim.reference.nonlinear import gelu_of
from sim.reference.scales import quantise, snapped_gelu_scale

IntArray = npt.NDArray[np.int64]

STEPS = range(4, 33)
"""Values of |x0| worth trying: inputs reach 18.7 at 4 and 2.3 at 32."""


def table_error(rows: FloatArray, exact: FloatArray, scale: np.float32) -> float:
    """Root mean square of ShiftGELU on `rows` (float, quantised here with `scale`) less `exact` (what float gives)."""
    unit = gelu_of(OFFICIAL, scale)
    out = unit.apply(quantise(rows, scale, 8)) * (float(scale) / 128)
    return float(np.sqrt(np.mean(np.square(out - exact))))


def best_scale(rows: FloatArray, exact: FloatArray, steps: Iterable[int] = STEPS) -> tuple[np.float32, float]:
    """The snapped scale of least table error on `rows` (rows, hidden channels), and that error. `exact` is what the
    float model's activation makes of them.

    A row keeps all its channels, because its maximum shifts every sigmoid of it.
    """
    errors = {step: table_error(rows, exact, snapped_gelu_scale(step)) for step in steps}
    step = min(errors, key=errors.__getitem__)
    return snapped_gelu_scale(step), errors[step]
