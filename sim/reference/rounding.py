"""Roundings and clamps that every operation shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["INT32_MAX", "IntArray", "ceil_div", "clamp", "divide_rne", "shift_rne"]

IntArray = npt.NDArray[np.int64]

INT32_MAX = 2**31 - 1


def ceil_div(dividend: int, divisor: int) -> int:
    """dividend / divisor, rounded up; divisor positive."""
    return -(-dividend // divisor)


def clamp(x: IntArray, bits: int, low: int | IntArray | None = None) -> IntArray:
    """`x` limited to a signed integer of `bits` bits; `low` replaces the lower limit."""
    top = 2 ** (bits - 1) - 1
    return np.clip(x, -top - 1 if low is None else low, top)


def shift_rne(x: IntArray, shift: int | IntArray) -> IntArray:
    """x / 2^shift, rounded half to even, for |x| < 2^63 - 2^61. Any shift is legal: one of 64 or more gives 0, and a
    negative one shifts left (the caller answers for the result fitting 63 bits).
    """
    shift = np.asarray(shift, np.int64)
    right = np.clip(shift, 0, 62)
    some = (right > 0).astype(np.int64)
    # A half, less one where the floor is even: an exact tie then stays below. Nothing is added where nothing is
    # shifted out.
    rounded = (x + ((x >> right) & some) + (((np.int64(1) << right) >> 1) - some)) >> right
    if (shift > 62).any():
        half = np.int64(1) << 62
        beyond = (x > half).astype(np.int64) - (x < -half)  # what is left by a shift of 63
        rounded = np.where(shift > 62, beyond * (shift == 63), rounded)
    result: IntArray = np.where(shift < 0, rounded << np.clip(-shift, 0, 62), rounded) if (shift < 0).any() else rounded
    return result


def divide_rne(x: IntArray, divisor: int) -> IntArray:
    """x / divisor, rounded half to even; divisor positive."""
    floor = x // divisor
    twice = 2 * (x - floor * divisor)
    result: IntArray = floor + ((twice > divisor) | ((twice == divisor) & ((floor & 1) == 1)))
    return result
