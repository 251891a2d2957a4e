"""Non-linear operations in floating point between integer tensors: what FasterTransformer leaves outside the integers.

Each has the input and output grids of the integer operation that it stands for. They run in float64 and round once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.reference.rounding import IntArray

__all__ = ["FloatGELU", "FloatLayerNorm", "FloatSoftmax"]

_erf = np.vectorize(math.erf, otypes=[np.float64])


@dataclass(frozen=True)
class FloatSoftmax:
    """Softmax of scores of `scale`, rounded to probabilities of scale 2^-(bits-1) and at most 2^(bits-1) - 1."""

    score_scale: float
    bits: int

    @property
    def scale(self) -> np.float32:
        """Scale of the result."""
        return np.float32(2.0 ** -(self.bits - 1))

    def apply(self, rows: IntArray, masked: npt.NDArray[np.bool_] | None = None) -> IntArray:
        """(..., scores) to the same shape; a masked score gets no probability."""
        considered = rows * self.score_scale
        if masked is not None:
            considered = np.where(masked, -np.inf, considered)
        e = np.exp(considered - considered.max(axis=-1, keepdims=True))
        p = np.rint(e / e.sum(axis=-1, keepdims=True) * 2.0 ** (self.bits - 1))
        result: IntArray = np.minimum(p, 2 ** (self.bits - 1) - 1).astype(np.int64)
        return result


@dataclass(frozen=True)
class FloatGELU:
    """GELU of 8-bit values of `scale`, rounded to the grid of ShiftGELU, scale / 128."""

    input_scale: float

    @property
    def scale_ratio(self) -> np.float32:
        """Scale of the result in units of the input's."""
        return np.float32(1 / 128)

    def apply(self, rows: IntArray) -> IntArray:
        """Any shape to the same."""
        x = np.arange(-128, 128)
        real = x * self.input_scale
        table = np.rint(x * 64 * (1 + _erf(real / math.sqrt(2)))).astype(np.int64)
        result: IntArray = table[rows + 128]
        return result


@dataclass(frozen=True)
class FloatLayerNorm:
    """LayerNorm on I-LayerNorm's grid: deviations over their root sum of squares, 2^30 for 1, plus the bias."""

    bias: IntArray

    def apply(self, rows: IntArray) -> IntArray:
        """(..., C) to the same shape."""
        x = rows.astype(np.float64)
        y = x - x.mean(axis=-1, keepdims=True)
        root = np.sqrt(np.square(y).sum(axis=-1, keepdims=True))
        result: IntArray = np.rint(y / np.maximum(root, 1) * 2.0**30).astype(np.int64) + self.bias
        return result
