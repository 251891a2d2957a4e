"""ShiftGELU (paper, Algorithm 2): x * sigmoid(1.702 x) over rows of 8-bit values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.reference.rescale import Rescale
from sim.reference.rounding import INT32_MAX, IntArray
from sim.reference.shiftexp import ShiftExp

__all__ = ["ShiftGELU"]


@dataclass(frozen=True)
class ShiftGELU:
    """16-bit results of scale S/128.

    Parameters
    ----------
    exponential : ShiftExp of the scale fl(S * fl(1.702)), n = 23
    slope_by_shifts : the paper's literal form: the exponential is of the scale S, and its argument is multiplied by
        1.702 with three shifts
    """

    exponential: ShiftExp
    slope_by_shifts: bool = False

    @property
    def step(self) -> int:
        """|x0|."""
        return self.exponential.step

    @property
    def scale_ratio(self) -> np.float32:
        """Scale of the result in units of the input's."""
        return np.float32(1 / 128)

    def sigmoid(self, x: IntArray, top: IntArray) -> IntArray:
        """The 8-bit sigmoid (128 is 1) of x in a row whose maximum is `top`; depends on nothing else of the row."""
        # Steeper before the difference is taken: the shifts are monotonic, so the row's maximum stays its maximum.
        x, top = self._argument(x), self._argument(top)
        e = self.exponential.apply(x - top)
        total = np.minimum(e + self.exponential.apply(-top), INT32_MAX)
        result: IntArray = (e * (INT32_MAX // total)) >> 24
        return result

    def _argument(self, x: IntArray) -> IntArray:
        return x + (x >> 1) + (x >> 3) + (x >> 4) if self.slope_by_shifts else x

    def apply(self, rows: IntArray) -> IntArray:
        """(..., hidden channels), int8, to the same shape; a row is the last axis."""
        rows = rows.astype(np.int64)
        tops, which = np.unique(rows.max(axis=-1), return_inverse=True)
        sigmoids = self.sigmoid(np.arange(-128, 128), tops[:, None])
        return rows * sigmoids[which.reshape(rows.shape[:-1])[..., None], rows + 128]

    def table(self, top: int, rescale: Rescale) -> IntArray:
        """The rescaled result of -128 .. 127 (256 entries) in a row whose maximum is `top`; 0 above `top`."""
        x = np.arange(-128, 128, dtype=np.int64)
        reachable = np.minimum(x, top)
        out = rescale.apply(reachable * self.sigmoid(reachable, np.full_like(x, top)))
        return np.where(x <= top, out, 0)
