"""Dyadic rescaling (paper, Eq. 9 and 10) and the residual addition of two rescaled branches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.reference.linear import EXACT_FLOAT64, largest_magnitude
from sim.reference.rounding import IntArray, clamp, shift_rne

__all__ = ["Dyadic", "Rescale", "ResidualAdd"]


@dataclass(frozen=True)
class Dyadic:
    """The factor multiplier / 2^shift, one a tensor (no dimensions) or one a channel (last axis).

    `from_ratio` gives 2^(b-1) <= |multiplier| <= 2^b for b multiplier bits; `normalised` folds the end 2^b back, so
    that b bits and a sign hold it.
    """

    multiplier: IntArray
    shift: IntArray

    @classmethod
    def from_ratio(
        cls, scale_in: npt.NDArray[np.float32] | np.float32, scale_out: np.float32, multiplier_bits: int
    ) -> Dyadic:
        """Nearest dyadic of scale_in / scale_out, half away from zero. Raises ValueError for a scale of 0 or NaN."""
        ratio = np.asarray(scale_in, np.float64) / np.float64(scale_out)
        if not np.isfinite(ratio).all() or (ratio == 0).any():
            raise ValueError(
                "the ratio of two scales must be finite and not zero; a scale of the model is 0 or damaged"
            )
        mantissa, exponent = np.frexp(ratio)
        scaled = np.abs(mantissa) * 2.0**multiplier_bits
        magnitude = np.floor(scaled + 0.5).astype(np.int64)
        return cls(np.where(ratio < 0, -magnitude, magnitude), multiplier_bits - exponent.astype(np.int64))

    def normalised(self, multiplier_bits: int) -> Dyadic:
        """The same factor with |multiplier| < 2^multiplier_bits: what the machine's registers hold."""
        full = np.abs(self.multiplier) == 2**multiplier_bits
        return Dyadic(np.where(full, self.multiplier // 2, self.multiplier), np.where(full, self.shift - 1, self.shift))

    def apply(self, x: IntArray) -> IntArray:
        """RNE(x * multiplier / 2^shift) for |x| < 2^31."""
        most = int(np.abs(self.multiplier).max())
        if most * 2**31 > EXACT_FLOAT64 and most * largest_magnitude(x) > EXACT_FLOAT64:
            return shift_rne(x.astype(np.int64) * self.multiplier, self.shift)
        # float64 holds the product exactly, a power of two changes no bit of it, and `rint` rounds half to even.
        product = x * np.ldexp(np.asarray(self.multiplier, np.float64), -np.asarray(self.shift, np.int64))
        return np.asarray(np.rint(product, out=product if product.ndim else None).astype(np.int64))


@dataclass(frozen=True)
class Rescale:
    """clamp(RNE(x * m / 2^e)) to `bits` bits.

    Parameters
    ----------
    factor : one a tensor, or one a channel along the last axis
    bits : 8 or 16
    low : lower limit where it is not -2^(bits-1), broadcast along the last axis (packed operands stop at -127)
    """

    factor: Dyadic
    bits: int
    low: IntArray | None = None

    def __post_init__(self) -> None:
        if self.bits not in (8, 16):
            raise ValueError(f"bits of a rescale must be 8 or 16, not {self.bits}")

    def apply(self, x: IntArray) -> IntArray:
        return clamp(self.factor.apply(x), self.bits, self.low)


@dataclass(frozen=True)
class ResidualAdd:
    """clamp(RNE(branch * m / 2^e) + RNE(skip * m1 / 2^e1)): each branch rounds by itself, one clamp after."""

    branch: Dyadic
    skip: Dyadic
    bits: int = 16

    def __post_init__(self) -> None:
        if self.bits not in (8, 16):
            raise ValueError(f"bits of a residual addition must be 8 or 16, not {self.bits}")

    def apply(self, branch: IntArray, skip: IntArray) -> IntArray:
        return clamp(self.branch.apply(branch) + self.skip.apply(skip), self.bits)
