"""FQ-ViT's Log-Int-Softmax: probabilities that are powers of two, without a division."""

from __future__ import annotations

import numpy as np

from sim.reference.rounding import IntArray

__all__ = ["MOST_TOTAL", "log_probabilities"]

MOST_TOTAL = 2**30
"""What a larger total counts as: 185 scores in which none is below the maximum."""


def log_probabilities(exponentials: IntArray, totals: IntArray, bits: int) -> IntArray:
    """2^(bits-1-q), q the nearest power as FQ-ViT rounds: 1.5 * 2^(q-1) <= total / e < 1.5 * 2^q.

    FQ-ViT rounds total / e to an integer before it takes the logarithm, which needs a division an element; here the
    ratio is compared as it is, by leading bits alone. q = 0 gives 2^(bits-1) - 1, the largest there is, and q > bits-1
    gives 0.

    Parameters
    ----------
    exponentials : positive integers (..., elements)
    totals : their sums (..., 1)
    bits : 8 to 16, of the result
    """
    triple = 3 * exponentials
    # Bits of both sides of 2 total >= 3 e 2^q give q but for one, which the comparison decides. frexp's exponent is the
    # number of bits, exactly, below 2^53.
    q = np.maximum(_bits(2 * totals) - _bits(triple), 0)
    q = q + (2 * totals >= triple << q)
    return np.where(q > bits - 1, 0, np.minimum(1 << np.maximum(bits - 1 - q, 0), 2 ** (bits - 1) - 1))


def _bits(x: IntArray) -> IntArray:
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)
