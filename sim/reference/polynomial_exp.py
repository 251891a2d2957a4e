"""The exponential by a second-order polynomial (I-BERT, Algorithm 2), as a mantissa and a shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.reference.rounding import IntArray

__all__ = [
    "CONSTANT_BITS",
    "LN2",
    "MANTISSA_SHIFT",
    "OFFSET",
    "OFFSET_SQUARED",
    "STEP_BITS",
    "PolynomialConstants",
    "PolynomialExp",
]

# exp(p) ~ a ((p + b)^2 + c/a) for p in (-ln 2, 0], with I-BERT's a = 0.3585, b = 1.353, c = 0.344. a is dropped: it
# scales numerator and denominator of a softmax alike.
CONSTANT_BITS = 10
LN2 = round(0.693147 * 2**CONSTANT_BITS)
OFFSET = round(1.353 * 2**CONSTANT_BITS)
OFFSET_SQUARED = round(0.344 / 0.3585 * 2**CONSTANT_BITS)
STEP_BITS = 8
MANTISSA_SHIFT = 9


@dataclass(frozen=True)
class PolynomialConstants:
    """What the polynomial needs for one scale.

    Members
    -------
    shift : places by which arguments move up (negative: down) to the grid on which one is `step`
    step : one in units of the grid, 128 to 255
    ln2, offset : ln 2 and b on the same grid
    constant : c/a on its square
    """

    shift: int
    step: int
    ln2: int
    offset: int
    constant: int

    @classmethod
    def of(cls, step: int) -> PolynomialConstants:
        """For arguments of scale 1 / `step`."""
        shift = STEP_BITS - step.bit_length()
        grid = step << shift if shift >= 0 else step >> -shift
        return cls(
            shift,
            grid,
            grid * LN2 >> CONSTANT_BITS,
            grid * OFFSET >> CONSTANT_BITS,
            grid * grid * OFFSET_SQUARED >> CONSTANT_BITS,
        )


@dataclass(frozen=True)
class PolynomialExp:
    """exp(x / step) for x <= 0, times a constant, as `ShiftExp` gives it: an integer (M << s) >> 1.

    x = -(z ln 2 + r) and the polynomial of -r, which is shifted down by z places: I-BERT's i-exp. Two things are ours,
    and make it better on 8-bit scores: the argument moves to a grid on which ln 2 has 8 bits (I-BERT's floor(ln 2 / S)
    on the scores' own grid is 2 where a score is worth a quarter), and the polynomial keeps 9 bits, M = 44 to 354.

    Parameters
    ----------
    step : one in units of the argument, 1 to 65535, as of `ShiftExp`
    n : powers of two before the argument is clamped
    """

    step: int
    n: int

    def __post_init__(self) -> None:
        if not 1 <= self.step < 2**16:
            raise ValueError(f"step (|x0|) must be 1 to 65535, not {self.step}; the scale is out of range")
        if not 8 <= self.n <= 15:
            raise ValueError(f"n must be 8 to 15, not {self.n}")

    @property
    def constants(self) -> PolynomialConstants:
        """The polynomial's, on the grid of this step."""
        return PolynomialConstants.of(self.step)

    def mantissa_shift(self, x: IntArray) -> tuple[IntArray, IntArray]:
        """(M, s) of x <= 0, with M even where s is 0."""
        c = self.constants
        distance = -x << c.shift if c.shift >= 0 else -x >> -c.shift
        z = np.minimum(distance // c.ln2, self.n)
        remainder = np.where(z == self.n, 0, distance - z * c.ln2)
        mantissa = (np.square(c.offset - remainder) + c.constant) >> MANTISSA_SHIFT
        return np.where(z == self.n, mantissa & ~1, mantissa), self.n - z

    def apply(self, x: IntArray) -> IntArray:
        """The exponential of x <= 0, at most 354 * 2^14."""
        mantissa, shift = self.mantissa_shift(x.astype(np.int64))
        return (mantissa << shift) >> 1
