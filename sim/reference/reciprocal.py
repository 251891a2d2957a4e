"""The division of a mean over tokens as a rescale."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from sim.reference.rescale import Dyadic
from sim.reference.rounding import divide_rne

__all__ = ["exact_reciprocal"]

MOST_SHIFT = 62


@lru_cache(maxsize=64)
def exact_reciprocal(count: int, multiplier_bits: int) -> Dyadic | None:
    """The factor whose rescale of every sum of `count` int8 is their mean, rounded half to even; None where there is
    none. An even `count` that is no power of two has none: some of its means are halves, which no such factor meets.
    """
    sums = np.arange(-128 * count, 127 * count + 1)
    means = divide_rne(sums, count)
    for shift in range(MOST_SHIFT):
        multiplier = round((1 << shift) / count)
        if multiplier >= 1 << multiplier_bits:
            break
        factor = Dyadic(np.array(multiplier), np.array(shift))
        if np.array_equal(factor.apply(sums), means):
            return factor
    return None
