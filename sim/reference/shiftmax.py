"""Shiftmax (paper, Algorithm 1): softmax over rows of 8-bit scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.reference.log_softmax import MOST_TOTAL, log_probabilities
from sim.reference.polynomial_exp import PolynomialExp
from sim.reference.rounding import INT32_MAX, IntArray
from sim.reference.shiftexp import ShiftExp

__all__ = ["Shiftmax"]


@dataclass(frozen=True)
class Shiftmax:
    """Probabilities of scale 2^-(bits-1).

    Parameters
    ----------
    exponential : ShiftExp of the scores' scale, n = 15; or I-BERT's polynomial in its place
    bits : 8 to 16
    half_up : round half up and stop at 2^(bits-1)-1, instead of flooring
    logarithmic : FQ-ViT's powers of two in place of the division
    """

    exponential: ShiftExp | PolynomialExp
    bits: int
    half_up: bool = False
    logarithmic: bool = False

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 16:
            raise ValueError(f"bits of Shiftmax must be 8 to 16, not {self.bits}")

    @property
    def scale(self) -> np.float32:
        """Scale of the result."""
        return np.float32(2.0 ** -(self.bits - 1))

    def most_of(self, count: int) -> int:
        """What no ``count`` probabilities of one row exceed together.

        Their exact values are at most 1, unless the row's total stops at its limit: then they are as many exponentials
        over that limit. Rounding half up gives each at most half a unit.
        """
        largest = count * int(self.exponential.apply(np.zeros(1, np.int64))[0])
        if self.logarithmic:  # the nearest power of two is up to half as much again
            return 3 * max(MOST_TOTAL, largest) * (1 << (self.bits - 2)) // MOST_TOTAL
        shift = 32 - self.bits
        return (max(INT32_MAX, largest) + (count << (shift - 1) if self.half_up else 0)) >> shift

    def apply(self, rows: IntArray, masked: npt.NDArray[np.bool_] | None = None) -> IntArray:
        """(..., scores) to the same shape. A masked score takes no part in the maximum and counts as clamped."""
        considered = rows if masked is None else np.where(masked, -(2**20), rows)
        e = self._exponentials(considered - considered.max(axis=-1, keepdims=True))
        total = np.minimum(e.sum(axis=-1, keepdims=True), INT32_MAX)
        if self.logarithmic:
            return log_probabilities(e, np.minimum(total, MOST_TOTAL), self.bits)
        product = e * (INT32_MAX // total)
        shift = 32 - self.bits
        result: IntArray = product >> shift
        if self.half_up:
            result = np.minimum((product + (1 << (shift - 1))) >> shift, 2 ** (self.bits - 1) - 1)
        return result

    def _exponentials(self, differences: IntArray) -> IntArray:
        """Of every element, from those of the differences that 8-bit scores can have, and a masked one's."""
        table = self.exponential.apply(np.append(-np.arange(256), -(2**20)))
        return table[np.minimum(-differences, 256)]
