"""Which operation an arithmetic has for softmax, GELU and LayerNorm: the one place that knows all of them."""

from __future__ import annotations

import numpy as np

from sim.reference.arithmetic import Arithmetic
from sim.reference.float_operations import FloatGELU, FloatLayerNorm, FloatSoftmax
from sim.reference.layernorm import ILayerNorm
from sim.reference.polynomial_exp import PolynomialExp
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rounding import IntArray
from sim.reference.scales import exponential_step, gelu_step
from sim.reference.shiftexp import ShiftExp
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = [
    "GeluOperation",
    "SoftmaxOperation",
    "gelu_of",
    "integer_gelu",
    "integer_softmax",
    "layernorm_of",
    "norm_constants",
    "softmax_of",
]

SoftmaxOperation = Shiftmax | FloatSoftmax
GeluOperation = ShiftGELU | PolynomialGELU | FloatGELU


def integer_softmax(arithmetic: Arithmetic, step: int, bits: int) -> Shiftmax:
    """The softmax of an integer arithmetic for scores of scale 1 / `step`: what a machine computes."""
    if arithmetic.softmax == "shift":
        exponential: ShiftExp | PolynomialExp = ShiftExp(step, arithmetic.softmax_n, arithmetic.half_shifted_first)
    else:
        exponential = PolynomialExp(step, arithmetic.softmax_n)
    return Shiftmax(exponential, bits, arithmetic.softmax_half_up, arithmetic.softmax == "logarithm")


def softmax_of(arithmetic: Arithmetic, scale: np.float32, graph_bits: int) -> SoftmaxOperation:
    """The softmax of an arithmetic for scores of `scale`, in a graph that asks for `graph_bits`."""
    bits = arithmetic.softmax_bits or graph_bits
    if arithmetic.softmax == "float":
        return FloatSoftmax(float(scale), bits)
    return integer_softmax(arithmetic, exponential_step(scale), bits)


def integer_gelu(arithmetic: Arithmetic, step: int) -> ShiftGELU | PolynomialGELU:
    """The GELU of an integer arithmetic for inputs of |x0| = `step`: what a machine computes."""
    if arithmetic.gelu == "polynomial":
        return PolynomialGELU(step)
    exponential = ShiftExp(step, arithmetic.gelu_n, arithmetic.half_shifted_first)
    return ShiftGELU(exponential, arithmetic.gelu_slope_by_shifts)


def gelu_of(arithmetic: Arithmetic, scale: np.float32) -> GeluOperation:
    """The GELU of an arithmetic for inputs of `scale`."""
    if arithmetic.gelu == "float":
        return FloatGELU(float(scale))
    literal = arithmetic.gelu == "shift" and arithmetic.gelu_slope_by_shifts
    return integer_gelu(arithmetic, exponential_step(scale) if literal else gelu_step(scale))


def layernorm_of(arithmetic: Arithmetic, bias: IntArray) -> ILayerNorm | FloatLayerNorm:
    """The LayerNorm of an arithmetic, with a bias on its own grid."""
    if arithmetic.layernorm == "float":
        return FloatLayerNorm(bias)
    return ILayerNorm(bias, arithmetic.root_start_from_bits, arithmetic.layernorm == "l1")


def norm_constants(
    arithmetic: Arithmetic, bias: IntArray, scale: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> tuple[IntArray, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """A model's bias and scale of a LayerNorm, which are on I-LayerNorm's grid, on that of the arithmetic."""
    if arithmetic.layernorm != "l1":
        return bias, scale
    ratio = ILayerNorm.l1_ratio(len(bias))
    return np.floor(bias / ratio).astype(np.int64), (scale * np.float32(ratio)).astype(np.float32)
