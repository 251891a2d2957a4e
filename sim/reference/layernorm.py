"""I-LayerNorm (paper, Eq. 14 to 16): normalisation with an integer square root of ten iterations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.reference.rounding import INT32_MAX, IntArray, divide_rne

__all__ = ["ITERATIONS", "ILayerNorm", "integer_sqrt"]

ITERATIONS = 10
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
    """

    bias: IntArray
    root_start_from_bits: bool = False

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

    def apply(self, rows: IntArray) -> IntArray:
        """(..., C) to the same shape."""
        mean, v = self.statistics(rows)
        factor = INT32_MAX // integer_sqrt(v, self.root_start_from_bits)
        return (((rows - mean) * factor) >> 1) + self.bias
