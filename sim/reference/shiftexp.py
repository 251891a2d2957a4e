"""ShiftExp (paper, Algorithm 1): the exponential by shifts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.reference.rounding import INT32_MAX, IntArray

__all__ = ["ShiftExp"]

_MOST_SHIFT = 32  # the operand is at least 1, so a shift of 32 saturates already; larger ones would leave 64 bits


@dataclass(frozen=True)
class ShiftExp:
    """exp(x * S) as an integer of scale S / 2^(n-1), from x times 1.4375 by two shifts and a base-2 split.

    Parameters
    ----------
    step : |x0| = -floor(fl(-1/S)), the integer that stands for one power of two
    n : powers of two before the argument is clamped
    half_first : the paper's literal order, r/2 before the shift, which loses its half bit
    """

    step: int
    n: int
    half_first: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.step < 2**16:
            raise ValueError(f"step (|x0|) must be 1 to 65535, not {self.step}; the scale is out of range")
        if not 1 <= self.n <= 23:
            raise ValueError(f"n must be 1 to 23, not {self.n}")

    @classmethod
    def from_scale(cls, scale: np.float32, n: int, half_first: bool = False) -> ShiftExp:
        """For arguments of that scale."""
        return cls(-math.floor(np.float32(-1) / np.float32(scale)), n, half_first)

    @property
    def clamped(self) -> int:
        """The result where the argument is clamped (p = n * x0): |x0|, never 0."""
        return self.step

    def mantissa_shift(self, x: IntArray) -> tuple[IntArray, IntArray]:
        """(M, s) with the exponential (M << s) >> 1, s = n - q: M = r - 2*x0 in (|x0|, 2|x0|], so products with the
        exponential need only M's few bits and a shift. s above n happens for positive x.
        """
        p = np.maximum(x + (x >> 1) - (x >> 4), -self.n * self.step)
        q = np.floor_divide(p, -self.step)
        remainder = p + q * self.step
        if self.half_first:
            remainder = (remainder >> 1) << 1
        return remainder + 2 * self.step, self.n - q

    def apply(self, x: IntArray) -> IntArray:
        """The exponential, saturated at 2^31-1 (reached for positive x only, where it is lossless)."""
        mantissa, shift = self.mantissa_shift(x.astype(np.int64))
        value = (mantissa << np.minimum(shift, _MOST_SHIFT)) >> 1
        return np.minimum(np.where(shift > _MOST_SHIFT, INT32_MAX, value), INT32_MAX)
