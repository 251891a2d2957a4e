"""Shiftmax (paper, Algorithm 1): softmax over rows of 8-bit scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.reference.arithmetic import Arithmetic
from sim.reference.rounding import INT32_MAX, IntArray
from sim.reference.shiftexp import ShiftExp

__all__ = ["Shiftmax"]


@dataclass(frozen=True)
class Shiftmax:
    """Probabilities of scale 2^-(bits-1).

    Parameters
    ----------
    exponential : ShiftExp of the scores' scale, n = 15
    bits : 8 to 16
    half_up : round half up and stop at 2^(bits-1)-1, instead of flooring
    """

    exponential: ShiftExp
    bits: int
    half_up: bool = False

    def __post_init__(self) -> None:
        if not 8 <= self.bits <= 16:
            raise ValueError(f"bits of Shiftmax must be 8 to 16, not {self.bits}")

    @classmethod
    def of(cls, arithmetic: Arithmetic, scale: np.float32, graph_bits: int) -> Shiftmax:
        """The Shiftmax of an arithmetic for scores of `scale`, in a graph that asks for `graph_bits`."""
        bits = arithmetic.softmax_bits or graph_bits
        return cls(
            ShiftExp.from_scale(scale, arithmetic.softmax_n, arithmetic.half_shifted_first),
            bits,
            arithmetic.softmax_half_up,
        )

    @property
    def scale(self) -> np.float32:
        """Scale of the result."""
        return np.float32(2.0 ** -(self.bits - 1))

    def apply(self, rows: IntArray, masked: npt.NDArray[np.bool_] | None = None) -> IntArray:
        """(..., scores) to the same shape. A masked score takes no part in the maximum and counts as clamped."""
        considered = rows if masked is None else np.where(masked, -(2**20), rows)
        e = self.exponential.apply(considered - considered.max(axis=-1, keepdims=True))
        total = np.minimum(e.sum(axis=-1, keepdims=True), INT32_MAX)
        product = e * (INT32_MAX // total)
        shift = 32 - self.bits
        if not self.half_up:
            return product >> shift
        return np.minimum((product + (1 << (shift - 1))) >> shift, 2 ** (self.bits - 1) - 1)
