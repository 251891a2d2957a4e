"""GELU by a second-order polynomial of erf (I-BERT, i-GELU)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.reference.rescale import Rescale
from sim.reference.rounding import IntArray

__all__ = ["CONSTANT_BITS", "GATE_BITS", "OFFSET", "ONE", "PolynomialGELU"]

# erf(x) ~ sign(x) (1 - a (b - |x|)^2) with x clipped at b, I-BERT's a = 0.2888, b = 1.769, of x = S q / sqrt 2. The
# scale in front of a GELU is taken as 1 / (1.702 k), whatever the GELU, so 1 / scale of x is 2.40700 k.
CONSTANT_BITS = 10
_GRID = 2**0.5 * 1.702
OFFSET = round(1.769 * _GRID * 2**CONSTANT_BITS)
ONE = round(_GRID**2 / 0.2888 * 2**CONSTANT_BITS)
GATE_BITS = 10


@dataclass(frozen=True)
class PolynomialGELU:
    """x (1 + erf(x / sqrt 2)) / 2: int8 values to about 17 bits.

    Elementwise: what a value becomes does not depend on its row.

    Parameters
    ----------
    step : k; the inputs' scale is 1 / (1.702 k), 4 to 255
    """

    step: int

    def __post_init__(self) -> None:
        if not 4 <= self.step <= 255:
            raise ValueError(f"step (k) of the polynomial GELU must be 4 to 255, not {self.step}")

    @property
    def offset(self) -> int:
        """b on the grid of the inputs."""
        return int(self.step * OFFSET >> CONSTANT_BITS)

    @property
    def one(self) -> int:
        """1 / a on the square of that grid: erf's 1."""
        return int(self.step * self.step * ONE >> CONSTANT_BITS)

    @property
    def gate_shift(self) -> int:
        """Low bits of 1 + erf that are dropped, so that GATE_BITS remain."""
        return max((2 * self.one).bit_length() - GATE_BITS, 0)

    @property
    def scale_ratio(self) -> np.float32:
        """Scale of the result in units of the input's."""
        return np.float32(2.0**self.gate_shift / (2 * self.one))

    def gate(self, x: IntArray) -> IntArray:
        """1 + erf, `2 * one >> gate_shift` for 2."""
        square = np.square(np.maximum(self.offset - np.abs(x), 0))
        value = np.where(x > 0, 2 * self.one - square, np.where(x < 0, square, self.one))
        return value >> self.gate_shift

    def apply(self, rows: IntArray) -> IntArray:
        """Any shape to the same."""
        rows = rows.astype(np.int64)
        return rows * self.gate(rows)

    def table(self, top: int, rescale: Rescale) -> IntArray:
        """The rescaled result of -128 .. 127 (256 entries), whatever the row's maximum `top`."""
        x = np.arange(-128, 128, dtype=np.int64)
        return rescale.apply(self.apply(x))
