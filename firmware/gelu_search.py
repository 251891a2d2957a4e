"""Which |x0| ShiftGELU should have in a layer: the least error of its actual table on calibration rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from firmware.float_vit import FloatArray, gelu
from sim.reference.scales import INT32_MAX, gelu_step, quantise, snapped_gelu_scale

IntArray = npt.NDArray[np.int64]

SHIFT = 23
"""n of ShiftGELU's shift exponential."""
STEPS = range(4, 33)
"""Values of |x0| worth trying: inputs reach 18.7 at 4 and 2.3 at 32."""


def _shift_exponential(x: IntArray, step: int) -> IntArray:
    """ShiftExp with |x0| = `step`, saturated at 2^31-1; x may be positive (a row whose maximum is negative)."""
    p = np.maximum(x + (x >> 1) - (x >> 4), -SHIFT * step)
    q = -(p // step) if step < 0 else np.floor_divide(p, -step)
    remainder = p + q * step
    shift = SHIFT - q
    # The operand is at least `step`; beyond 32 places any value saturates, and int64 must not overflow first.
    value = ((remainder + 2 * step) << np.minimum(shift, 32)) >> 1
    return np.minimum(np.where(shift > 32, INT32_MAX, value), INT32_MAX)


def shift_gelu(rows: IntArray, step: int) -> IntArray:
    """ShiftGELU's integers (scale S/128) for 8-bit rows (rows, channels) with |x0| = `step`."""
    top = rows.max(axis=1, keepdims=True)
    e = _shift_exponential(rows - top, step)
    total = np.minimum(e + _shift_exponential(-top, step), INT32_MAX)
    sigmoid = (e * (INT32_MAX // total)) >> 24
    return rows * sigmoid


def table_error(rows: FloatArray, exact: FloatArray, scale: np.float32) -> float:
    """Root mean square of ShiftGELU on `rows` (float, quantised here with `scale`) less `exact` (float GELU)."""
    out = shift_gelu(quantise(rows, scale, 8), gelu_step(scale)) * (float(scale) / 128)
    return float(np.sqrt(np.mean(np.square(out - exact))))


def best_scale(rows: FloatArray, steps: Iterable[int] = STEPS) -> tuple[np.float32, float]:
    """The snapped scale of least table error on `rows` (rows, hidden channels), and that error.

    A row keeps all its channels, because its maximum shifts every sigmoid of it.
    """
    exact = gelu(rows)
    errors = {step: table_error(rows, exact, snapped_gelu_scale(step)) for step in steps}
    step = min(errors, key=errors.__getitem__)
    return snapped_gelu_scale(step), errors[step]
