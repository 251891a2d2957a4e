"""The real functions that the integer operations approximate: what gradients are taken of (straight-through estimator).

Everything is in units of the integers, so a surrogate's value is near the operation's result.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sim.reference.float_operations import FloatGELU, FloatLayerNorm, FloatSoftmax
from sim.reference.layernorm import ILayerNorm
from sim.reference.operations import AttentionMask, BiasAdd, Operation, TokenMean, TokenSum
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Dyadic, ResidualAdd
from sim.reference.scales import GELU_SLOPE
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = ["Moved", "StraightThrough", "factor_of", "normalised", "surrogate"]


class StraightThrough(torch.autograd.Function):
    """Forward: the exact integers. Backward: the gradient goes to the surrogate, but where the integers are clamped."""

    @staticmethod
    def forward(ctx: Any, real: Tensor, integers: Tensor, inside: Tensor | None) -> Tensor:
        ctx.save_for_backward(*([] if inside is None else [inside]))
        ctx.kind = real.dtype
        return integers

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0].to(ctx.kind)
        return (gradient * ctx.saved_tensors[0] if ctx.saved_tensors else gradient), None, None


class Moved(torch.autograd.Function):
    """Elements of a tensor at given places, each at most once: a permutation or a choice."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.shape = x.shape
        return x.reshape(-1)[places]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        whole = gradients[0].new_zeros(ctx.shape)
        whole.view(-1)[places] = gradients[0]
        return whole, None


def factor_of(dyadic: Dyadic, like: Tensor) -> Tensor:
    """multiplier / 2^shift, float64."""
    value = np.ldexp(np.asarray(dyadic.multiplier, np.float64), -np.asarray(dyadic.shift, np.int64))
    return torch.from_numpy(np.asarray(value)).to(like.device)


def normalised(operation: ILayerNorm | FloatLayerNorm, x: Tensor, bias: Tensor) -> Tensor:
    """LayerNorm on the operation's grid, with a real bias on it."""
    channels = x.shape[-1]
    unit = 2.0**30 / math.sqrt(channels)
    if isinstance(operation, ILayerNorm) and operation.l1:
        unit /= operation.l1_ratio(channels)
    # The least that the machine divides by, 64, is what an epsilon is elsewhere.
    return functional.layer_norm(x, (channels,), eps=64.0**2 / channels) * unit + bias


def surrogate(operation: Operation, *inputs: Tensor) -> Tensor:
    """The real function of an operation without learnt constants.

    Raises
    ------
    TypeError : the operation has none
    """
    for kind, form in _FORMS.items():
        if isinstance(operation, kind):
            return form(operation, *inputs)
    raise TypeError(f"fine-tuning has no gradient of {type(operation).__name__}")


def _softmax(operation: Shiftmax | FloatSoftmax, x: Tensor) -> Tensor:
    scale = operation.score_scale if isinstance(operation, FloatSoftmax) else 1 / operation.exponential.step
    return (x * scale).softmax(dim=-1) * 2.0 ** (operation.bits - 1)


def _masked(operation: AttentionMask, x: Tensor) -> Tensor:
    regions = torch.from_numpy(operation.regions).to(x.device)
    different = (regions[:, :, None] != regions[:, None, :])[:, None]
    windows = x.reshape(-1, *different.shape[:1], *x.shape[1:])
    return _softmax(operation.softmax, windows.masked_fill(different, -(2.0**20)).reshape(x.shape))


def _gelu(operation: ShiftGELU | PolynomialGELU | FloatGELU, x: Tensor) -> Tensor:
    scale = operation.input_scale if isinstance(operation, FloatGELU) else 1 / (float(GELU_SLOPE) * operation.step)
    return functional.gelu(x * scale) / (scale * float(operation.scale_ratio))


def _residual(operation: ResidualAdd, branch: Tensor, skip: Tensor) -> Tensor:
    return branch * factor_of(operation.branch, branch) + skip * factor_of(operation.skip, skip)


def _bias_add(operation: BiasAdd, scores: Tensor, table: Tensor) -> Tensor:
    index = torch.from_numpy(operation.index.reshape(-1)).to(scores.device)
    bias = table[index].reshape(*operation.index.shape, -1).permute(2, 0, 1)
    return scores * factor_of(operation.scores, scores) + bias * factor_of(operation.table, scores)


def _mean(operation: TokenMean, x: Tensor) -> Tensor:
    return x.mean(dim=1)


def _sum(operation: TokenSum, x: Tensor) -> Tensor:
    return x[:, operation.first :].sum(dim=1)


_FORMS: dict[type, Callable[..., Tensor]] = {
    Shiftmax: _softmax,
    FloatSoftmax: _softmax,
    AttentionMask: _masked,
    ShiftGELU: _gelu,
    PolynomialGELU: _gelu,
    FloatGELU: _gelu,
    ResidualAdd: _residual,
    BiasAdd: _bias_add,
    TokenMean: _mean,
    TokenSum: _sum,
}
