"""The integer operations on PyTorch tensors, on any device, bit for bit `sim.reference`'s.

What takes int8 comes from tables that the reference's own operation fills; the rest is int64 arithmetic. An operation
that has no form here runs in the reference itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sim.reference.layernorm import ITERATIONS, LEAST_DEVIATION, ILayerNorm
from sim.reference.linear import EXACT_FLOAT32
from sim.reference.operations import Operation
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import INT32_MAX
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = ["exact", "matmul"]

OCTETS = np.arange(-128, 128)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a @ b of integers held in floats: float32 where every partial sum is exact there, else float64 (exact below
    2^53, which K * 2^15 * 2^7 never reaches). Differentiable; the result is float64.

    CUDA's TF32 would not be exact and is off unless somebody turned it on.
    """
    bound = a.shape[-1] * float(a.detach().abs().amax()) * float(b.detach().abs().amax())
    kind = torch.float32 if bound <= EXACT_FLOAT32 else torch.float64
    return (a.to(kind) @ b.to(kind)).to(torch.float64)


def exact(operation: Operation, *inputs: Tensor) -> Tensor:
    """The integers (int64) of an operation on those (int64) of its inputs."""
    form = _FORMS.get(type(operation))
    found = form(operation, *inputs) if form else None
    if found is not None:
        return found
    result = operation.apply(*(one.cpu().numpy() for one in inputs))
    return torch.from_numpy(np.ascontiguousarray(result)).to(inputs[0].device)


def _on(values: np.ndarray[Any, np.dtype[Any]], like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)


def _dyadic(factor: Dyadic, x: Tensor) -> Tensor:
    shift = np.asarray(factor.shift)
    right = np.clip(shift, 0, 62)
    some = (right > 0).astype(np.int64)
    add = ((np.int64(1) << right) >> 1) - some
    places = _on(right, x)
    product = x * _on(np.asarray(factor.multiplier), x)
    rounded = (product + ((product >> places) & _on(some, x)) + _on(add, x)) >> places
    if (shift > 62).any():
        rounded = torch.where(_on(shift > 62, x), torch.zeros_like(rounded), rounded)
    if (shift < 0).any():
        rounded = torch.where(_on(shift < 0, x), rounded << _on(np.clip(-shift, 0, 62), x), rounded)
    return rounded


def _rescale(operation: Rescale, x: Tensor) -> Tensor:
    top = 2 ** (operation.bits - 1) - 1
    rounded = _dyadic(operation.factor, x).clamp(max=top)
    if operation.low is None:
        return rounded.clamp(min=-top - 1)
    return torch.maximum(rounded, _on(np.asarray(operation.low, np.int64), x))


def _residual(operation: ResidualAdd, branch: Tensor, skip: Tensor) -> Tensor:
    top = 2 ** (operation.bits - 1) - 1
    return (_dyadic(operation.branch, branch) + _dyadic(operation.skip, skip)).clamp(-top - 1, top)


def _softmax(operation: Shiftmax, scores: Tensor) -> Tensor | None:
    if operation.logarithmic:
        return None
    table = _on(operation.exponential.apply(-np.arange(256)), scores)
    e = table[scores.amax(dim=-1, keepdim=True) - scores]
    total = e.sum(dim=-1, keepdim=True).clamp(max=INT32_MAX)
    product = e * torch.div(INT32_MAX, total, rounding_mode="floor")
    shift = 32 - operation.bits
    if not operation.half_up:
        return product >> shift
    return ((product + (1 << (shift - 1))) >> shift).clamp(max=2 ** (operation.bits - 1) - 1)


@lru_cache(maxsize=256)
def _sigmoids(operation: ShiftGELU) -> np.ndarray[Any, np.dtype[np.int64]]:
    """[row maximum, value], both plus 128."""
    return operation.sigmoid(OCTETS, OCTETS[:, None])


def _gelu(operation: ShiftGELU, x: Tensor) -> Tensor:
    table = _on(_sigmoids(operation).reshape(-1), x)
    top = x.amax(dim=-1, keepdim=True)
    return x * table[(top + 128) * 256 + (x + 128)]


def _layernorm(operation: ILayerNorm, x: Tensor) -> Tensor | None:
    if operation.root_start_from_bits:
        return None
    channels = x.shape[-1]
    total = x.sum(dim=-1, keepdim=True)
    floor = torch.div(total, channels, rounding_mode="floor")
    twice = 2 * (total - floor * channels)
    mean = floor + ((twice > channels) | ((twice == channels) & ((floor & 1) == 1))).to(torch.int64)
    y = x - mean
    if operation.l1:
        k = y.abs().sum(dim=-1, keepdim=True).clamp(min=LEAST_DEVIATION)
    else:
        v = (y * y).sum(dim=-1, keepdim=True)
        k = torch.full_like(v, 2**16)
        for _ in range(ITERATIONS):
            k = ((k + torch.div(v, k, rounding_mode="floor")) >> 1).clamp(min=1)
    factor = torch.div(INT32_MAX, k, rounding_mode="floor")
    return ((y * factor) >> 1) + _on(operation.bias, x)


_FORMS: dict[type, Callable[..., Tensor | None]] = {
    Rescale: _rescale,
    ResidualAdd: _residual,
    Shiftmax: _softmax,
    ShiftGELU: _gelu,
    ILayerNorm: _layernorm,
}
