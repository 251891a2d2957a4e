"""Exact integer matrix products at the speed of floating point."""

from __future__ import annotations

import numpy as np

from sim.reference.rounding import IntArray

__all__ = ["EXACT_FLOAT32", "EXACT_FLOAT64", "largest_magnitude", "matmul"]

EXACT_FLOAT32 = 2**24
EXACT_FLOAT64 = 2**53


def largest_magnitude(x: IntArray) -> int:
    """The largest magnitude of x; 0 where x is empty."""
    return max(-int(x.min(initial=0)), int(x.max(initial=0)))


def matmul(a: IntArray, b: IntArray) -> IntArray:
    """a @ b in exact integers.

    Every partial sum of an inner product of length K is an integer of at most K * max|a| * max|b|, whatever the order
    of the additions. While that is at most 2^24 (2^53), float32 (float64) holds each of them exactly and BLAS is exact;
    beyond, numpy's int64 product is used.
    """
    bound = a.shape[-1] * largest_magnitude(a) * largest_magnitude(b)
    if bound <= EXACT_FLOAT32:
        return np.asarray((a.astype(np.float32) @ b.astype(np.float32)).astype(np.int64))
    if bound <= EXACT_FLOAT64:
        return np.asarray((a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64))
    return np.asarray(a.astype(np.int64) @ b.astype(np.int64))
