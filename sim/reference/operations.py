"""The operations a graph is made of, each a frozen object with its constants and `apply` on integer arrays.

Activations are int64 arrays; (batch, tokens, channels) unless an operation says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sim.reference.addressing import join_windows, masked_pairs, merge_patches, patches, split_windows
from sim.reference.float_operations import FloatSoftmax
from sim.reference.linear import matmul
from sim.reference.rescale import Dyadic
from sim.reference.rounding import IntArray, clamp, divide_rne
from sim.reference.shiftmax import Shiftmax

__all__ = [
    "AttentionMask",
    "BiasAdd",
    "Concatenate",
    "Constant",
    "FirstTokens",
    "HeadMerge",
    "HeadSplit",
    "Linear",
    "MatMul",
    "Operation",
    "PatchMerge",
    "Patches",
    "PrependToken",
    "SelectToken",
    "TokenMean",
    "TokenSum",
    "WindowMerge",
    "WindowSplit",
]


class Operation(Protocol):
    """Anything with the integers of one tensor from those of others. `Rescale`, `ResidualAdd`, `Shiftmax`, `ShiftGELU`
    and `ILayerNorm` are operations as they stand.
    """

    def apply(self, *inputs: IntArray) -> IntArray: ...


@dataclass(frozen=True)
class Patches:
    """(batch, C, H, W) images to (batch, patches, C*side*side)."""

    side: int

    def apply(self, *inputs: IntArray) -> IntArray:
        return patches(inputs[0], self.side)


@dataclass(frozen=True)
class Linear:
    """x W^T + b in 32-bit accumulators: weight (out, in) int8, bias (out,) int32 or None."""

    weight: IntArray
    bias: IntArray | None

    def apply(self, *inputs: IntArray) -> IntArray:
        product = matmul(inputs[0], self.weight.T)
        return product if self.bias is None else product + self.bias


@dataclass(frozen=True)
class MatMul:
    """a b, or a b^T: products of two activations over the last two axes."""

    transposed: bool

    def apply(self, *inputs: IntArray) -> IntArray:
        a, b = inputs
        return matmul(a, b.swapaxes(-1, -2) if self.transposed else b)


@dataclass(frozen=True)
class HeadSplit:
    """Part 0 (Q), 1 (K) or 2 (V) of (batch, tokens, 3*C) as (batch, heads, tokens, C/heads)."""

    part: int
    heads: int

    def apply(self, *inputs: IntArray) -> IntArray:
        batch, tokens, channels = inputs[0].shape
        split = inputs[0].reshape(batch, tokens, 3, self.heads, channels // 3 // self.heads)
        return split[:, :, self.part].swapaxes(1, 2)


@dataclass(frozen=True)
class HeadMerge:
    """(batch, heads, tokens, d) to (batch, tokens, heads*d)."""

    def apply(self, *inputs: IntArray) -> IntArray:
        batch, heads, tokens, width = inputs[0].shape
        return inputs[0].swapaxes(1, 2).reshape(batch, tokens, heads * width)


@dataclass(frozen=True)
class PrependToken:
    """Learnt tokens (1, count, C) in front of the patches."""

    token: IntArray

    def apply(self, *inputs: IntArray) -> IntArray:
        batch = inputs[0].shape[0]
        return np.concatenate([np.broadcast_to(self.token, (batch, *self.token.shape[1:])), inputs[0]], axis=1)


@dataclass(frozen=True)
class Constant:
    """A tensor of the model itself, without inputs; its batch axis, of length 1, broadcasts."""

    value: IntArray

    def apply(self, *inputs: IntArray) -> IntArray:
        return self.value


@dataclass(frozen=True)
class SelectToken:
    """One token: (batch, tokens, C) to (batch, C)."""

    token: int

    def apply(self, *inputs: IntArray) -> IntArray:
        return inputs[0][:, self.token]


@dataclass(frozen=True)
class FirstTokens:
    """The first tokens: (batch, tokens, C) to (batch, count, C)."""

    count: int

    def apply(self, *inputs: IntArray) -> IntArray:
        return inputs[0][:, : self.count]


@dataclass(frozen=True)
class Concatenate:
    """Tokens side by side: (batch, tokens, C) to (batch, tokens*C)."""

    def apply(self, *inputs: IntArray) -> IntArray:
        return inputs[0].reshape(len(inputs[0]), -1)


@dataclass(frozen=True)
class TokenMean:
    """Mean over the tokens, rounded half to even: (batch, tokens, C) to (batch, C)."""

    def apply(self, *inputs: IntArray) -> IntArray:
        return divide_rne(inputs[0].sum(axis=1), inputs[0].shape[1])


@dataclass(frozen=True)
class TokenSum:
    """Sum over the tokens from `first` on: (batch, tokens, C) to (batch, C)."""

    first: int

    def apply(self, *inputs: IntArray) -> IntArray:
        return np.asarray(inputs[0][:, self.first :].sum(axis=1))


@dataclass(frozen=True)
class WindowSplit:
    """A square map (batch, side*side, C), rolled by -shift on both axes, in windows: (batch*windows, window^2, C)."""

    window: int
    shift: int

    def apply(self, *inputs: IntArray) -> IntArray:
        return split_windows(inputs[0], self.window, self.shift)


@dataclass(frozen=True)
class WindowMerge:
    """The inverse of `WindowSplit` for a map of `side` tokens a side."""

    window: int
    shift: int
    side: int

    def apply(self, *inputs: IntArray) -> IntArray:
        return join_windows(inputs[0], self.window, self.shift, self.side)


@dataclass(frozen=True)
class BiasAdd:
    """8-bit dyadic addition of the relative-position bias to scores (batch, heads, tokens, tokens).

    The bias of two tokens is the row `index` (tokens, tokens) of the table (rows, heads), the second input.
    """

    index: IntArray
    scores: Dyadic
    table: Dyadic

    def apply(self, *inputs: IntArray) -> IntArray:
        scores, table = inputs
        bias = table[self.index.reshape(-1)].reshape(*self.index.shape, -1).transpose(2, 0, 1)
        return clamp(self.scores.apply(scores) + self.table.apply(bias), 8)


@dataclass(frozen=True)
class AttentionMask:
    """Shiftmax over (batch*windows, heads, tokens, tokens) with the masks of shifted windows.

    `regions` (windows, tokens) number the parts of the image that a window joins; scores between two parts are masked.
    """

    softmax: Shiftmax | FloatSoftmax
    regions: IntArray

    def apply(self, *inputs: IntArray) -> IntArray:
        different = masked_pairs(self.regions)[:, None]
        repeats = len(inputs[0]) // len(self.regions)
        return self.softmax.apply(inputs[0], np.tile(different, (repeats, 1, 1, 1)))


@dataclass(frozen=True)
class PatchMerge:
    """Four neighbours of a square map side by side: (batch, side^2, C) to (batch, side^2/4, 4C), in the order of
    (row, column) parities (0,0), (1,0), (0,1), (1,1).
    """

    def apply(self, *inputs: IntArray) -> IntArray:
        return merge_patches(inputs[0])
