"""I-LayerNorm (paper, Eq. 14 to 16): normalisation with an integer square root of ten iterations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.reference.rounding import INT32_MAX, IntArray, divide_rne

__all__ = ["ITERATIONS", "LEAST_DEVIATION", "ILayerNorm", "integer_sqrt"]

ITERATIONS = 10
LEAST_DEVIATION = 64
"""What the iterations leave of v = 0, and the least that the L1 form divides by: f has at most 25 bits."""
_START = 2**16


def integer_sqrt(v: IntArray, start_from_bits: bool = False) -> IntArray:
    """Ten times k = (k + v//k) >> 1 from 2^16, or from 2^floor(bits(v)/2) as the paper's Eq. 20 has it.

    From 2^16 and below about 186 the result is above the root (64 for v = 0), and that is the definition: nothing is
    divided by zero.
    """
    # frexp's exponent is the number of bits, exactly, below 2^53.
    k = np.int64(1) << (np.frexp(v.astype(np.float64))[1] // 2) if start_from_bits else np.full_like(v, _START)
    for _ in range(ITERATIONS):
        k = np.maximum((k + v // k) >> 1, 1)
    return k


@dataclass(frozen=True)
class ILayerNorm:
    """Rows of 8- or 16-bit values to about 32 bits, scale fl(fl(sqrt C)/2^30 * gamma) a channel.

    Parameters
    ----------
    bias : beta in units of the output, one a channel, within 32 bits
    root_start_from_bits : see `integer_sqrt`
    l1 : the deviation is the sum of magnitudes, not the root of the sum of squares (Fully-8bit's L1 LayerNorm). The
        ratio of the two that a normal distribution has, sqrt(pi/2), is in the scale: `l1_ratio`
    """

    bias: IntArray
    root_start_from_bits: bool = False
    l1: bool = False

    def __post_init__(self) -> None:
        if np.abs(self.bias).max(initial=0) > INT32_MAX:
            raise ValueError("a LayerNorm bias is beyond 32 bits; its gamma is too near 0")

    def statistics(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Mean (RNE) and sum of squared deviations of each row, from the two sums that one pass collects."""
        rows = rows.astype(np.int64)
        channels = rows.shape[-1]
        total = rows.sum(axis=-1, keepdims=True)
        mean = divide_rne(total, channels)
        squares = (rows * rows).sum(axis=-1, keepdims=True)
        return mean, squares - 2 * mean * total + channels * mean * mean

    @staticmethod
    def l1_ratio(channels: int) -> float:
        """Scale of the L1 form's result in units of I-LayerNorm's: its deviation, of values that are normally
        distributed, over the root of the sum of their squares.
        """
        return math.sqrt(2 / math.pi * channels)

    def apply(self, rows: IntArray) -> IntArray:
        """(..., C) to the same shape."""
        mean, v = self.statistics(rows)
        if self.l1:
            # Never less than a single magnitude, so that a product with the factor stays below 2^31.
            deviation = np.maximum(np.abs(rows - mean).sum(axis=-1, keepdims=True), LEAST_DEVIATION)
        else:
            deviation = integer_sqrt(v, self.root_start_from_bits)
        result: IntArray = (((rows - mean) * (INT32_MAX // deviation)) >> 1) + self.bias
        return result
