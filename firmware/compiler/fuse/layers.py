"""The fused layers that a graph falls into: each is one or a few kinds of operations of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from firmware.compiler.place.maps import Windows
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import IntArray
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = ["Attention", "Gelu", "Layer", "Matmul", "Mean", "Norm", "Plan", "Residual", "ScoreBias", "Source"]


@dataclass(frozen=True)
class Norm:
    """LayerNorm and its rescale, done while the tensor is loaded. `name` is the rescaled tensor.

    With `side`, a row is four rows of the map of that side: patch merging.
    """

    name: str
    source: str
    bias: IntArray
    rescale: Rescale
    side: int | None = None

    @property
    def wide(self) -> bool:
        """Whether the result has 16 bits: it then is an operand in two halves."""
        return self.rescale.bits == 16


@dataclass(frozen=True)
class Gelu:
    """ShiftGELU and its rescale, done while the tensor is loaded."""

    name: str
    source: str
    gelu: ShiftGELU | PolynomialGELU
    rescale: Rescale


Source = str | Norm | Gelu  # a tensor as it stands in memory, or transformed while it is loaded


@dataclass
class Residual:
    """What a 16-bit result is added to: `skip` is a tensor, or the rows of a constant, of values of `skip_bits`."""

    add: ResidualAdd
    skip: str | IntArray
    skip_bits: int = 16


@dataclass
class Matmul:
    """x W^T + b, requantised, and perhaps added to a skip.

    Parameters
    ----------
    name : the tensor that is written
    source : its operand
    weight, bias : (out, K), (out,)
    rescale : None where the accumulators are the result
    inner : the 16-bit tensor before a residual addition, which is never written
    tokens : (count, out): the first rows are these constants (the learnt tokens, positions added), the others follow
    first_rows : only so many rows of the source are needed
    joined : the source's rows, side by side, are one row
    side : of the map whose tokens are the rows; None where they are a sequence
    from_raster : the source's rows are in raster order, the result's in the order of the map
    windows : the result's rows lie window by window
    inner_windows : the tensor `inner` has them so in the reference
    merges : the result is what a patch merging reads
    averaged : the result is what `Mean` reads
    """

    name: str
    source: Source
    weight: IntArray
    bias: IntArray | None
    rescale: Rescale | None = None
    residual: Residual | None = None
    inner: str | None = None
    tokens: IntArray | None = None
    first_rows: int | None = None
    joined: bool = False
    patches: bool = False
    side: int | None = None
    from_raster: bool = False
    windows: Windows | None = None
    inner_windows: Windows | None = None
    merges: bool = False
    averaged: bool = False

    @property
    def widened(self) -> bool:
        """Whether results of 8 bits are stored in 16: as a residual's skip behind a patch merging, or for `Mean`."""
        return self.averaged or (isinstance(self.source, Norm) and self.source.side is not None)

    @property
    def size(self) -> int:
        """Bytes of a stored result."""
        if self.rescale is None:
            return 4
        return 2 if self.widened else self.rescale.bits // 8


@dataclass
class Mean:
    """Mean over the tokens of a tensor in memory, rounded half to even.

    The tensor is int16, and its bytes are operands that share multipliers in pairs, where the odd one must not be -128:
    it is a high byte, 0 or -1. Each mean of a channel is followed by that of its high bytes, which nobody needs.
    """

    name: str
    source: str


@dataclass(frozen=True)
class ScoreBias:
    """What is added to scores, by heads and pairs of tokens.

    Parameters
    ----------
    name : the scores with it
    factor : of the scores
    terms : (heads, tokens, tokens), added to the scores once they are multiplied by the factor and rounded
    """

    name: str
    factor: Dyadic
    terms: IntArray


@dataclass
class Attention:
    """Scores, Shiftmax and the product with V of all heads, from the tensor that holds Q, K and V.

    With `windows`, of each window by itself; scores between two of its `regions` (windows, tokens) are masked.
    """

    name: str
    source: str
    heads: int
    scores: Rescale
    softmax: Shiftmax
    rescale: Rescale
    scores_name: str
    softmax_name: str
    windows: Windows | None = None
    bias: ScoreBias | None = None
    regions: IntArray | None = None


Layer = Matmul | Attention | Mean


@dataclass
class Plan:
    """Layers in order; `image` and `output` are the tensors that the host writes and reads.

    `tokens` is the length of a ViT's sequence; `last_side` the side of a Swin's last map, and None for a ViT.
    """

    layers: list[Layer]
    image: str
    output: str
    tokens: int
    patch: int
    last_side: int | None = None


def factor_of(rescale: Rescale | None) -> Dyadic | None:
    return None if rescale is None else rescale.factor
