"""The fused layers that a graph falls into: each is one or a few kinds of operations of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import IntArray
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = [
    "Attention",
    "Gelu",
    "Joined",
    "Layer",
    "Map",
    "Matmul",
    "Mean",
    "Norm",
    "Operand",
    "Patches",
    "Plan",
    "Residual",
    "Rows",
    "ScoreBias",
    "Sequence",
    "Stored",
    "Transformed",
    "Windows",
]


@dataclass(frozen=True)
class Windows:
    """Square windows of a square map that is rolled by `-shift` on both axes; `side` and `window` are tokens a side."""

    side: int
    window: int
    shift: int

    @property
    def tokens(self) -> int:
        """Of a window."""
        return self.window**2

    @property
    def count(self) -> int:
        return (self.side // self.window) ** 2


# What a matmul multiplies with its weights: `tensor` is the one in memory that is loaded.


@dataclass(frozen=True)
class Patches:
    """The patches of the image, as the host writes them."""

    tensor: str


@dataclass(frozen=True)
class Stored:
    """A tensor in memory."""

    tensor: str


@dataclass(frozen=True)
class Joined:
    """All rows of a tensor in memory side by side, as one row."""

    tensor: str


@dataclass(frozen=True, eq=False)
class Norm:
    """LayerNorm and its rescale, done while the tensor is loaded.

    Parameters
    ----------
    name : the rescaled tensor, which is never in memory
    tensor : what is loaded
    bias, rescale : of the norm
    first_rows : only so many rows are needed, where it is not all of them
    merged_side : with patch merging a row is four rows of what is loaded: tokens a side of the merged map
    """

    name: str
    tensor: str
    bias: IntArray
    rescale: Rescale
    first_rows: int | None = None
    merged_side: int | None = None

    @property
    def wide(self) -> bool:
        """Whether the result has 16 bits: it then is an operand in two halves."""
        return self.rescale.bits == 16


@dataclass(frozen=True, eq=False)
class Gelu:
    """ShiftGELU and its rescale, done while the tensor is loaded; `name` is the rescaled tensor, never in memory."""

    name: str
    tensor: str
    gelu: ShiftGELU | PolynomialGELU
    rescale: Rescale


Transformed = Norm | Gelu
Operand = Patches | Stored | Joined | Transformed


# Which rows a matmul's result has, and in which order.


@dataclass(frozen=True, eq=False)
class Sequence:
    """One after the other. `front` (count, channels): constants in the first rows (the learnt tokens, positions added),
    which the operand's rows follow.
    """

    front: IntArray | None = None


@dataclass(frozen=True)
class Map:
    """Tokens of a square map.

    Parameters
    ----------
    side : tokens a side
    from_raster : the operand's rows are in raster order
    windows : the result's rows lie window by window
    merges : the result is what a patch merging reads
    """

    side: int
    from_raster: bool = False
    windows: Windows | None = None
    merges: bool = False


Rows = Sequence | Map


@dataclass(frozen=True, eq=False)
class Residual:
    """The skip operand to which a 16-bit result is added.

    Parameters
    ----------
    add : the sum's factors
    branch : the tensor before the addition, which is never in memory
    skip : a tensor in memory, or the rows of a constant
    skip_bits : of the skip's values
    branch_windows : the reference has the branch window by window
    """

    add: ResidualAdd
    branch: str
    skip: str | IntArray
    skip_bits: int = 16
    branch_windows: Windows | None = None


@dataclass(frozen=True, eq=False)
class Matmul:
    """x W^T + b, requantised, and perhaps added to a skip.

    Parameters
    ----------
    name : the tensor that is written
    operand : x
    weight, bias : (out, K), (out,)
    rows : of the result
    rescale : None where the accumulators are the result
    residual : None where nothing is added
    widened : results of 8 bits are stored in 16: what a residual's skip is behind a patch merging, what `Mean` reads;
        and what a residual addition to 8 bits gives
    """

    name: str
    operand: Operand
    weight: IntArray
    bias: IntArray | None
    rows: Rows
    rescale: Rescale | None = None
    residual: Residual | None = None
    widened: bool = False

    @property
    def size(self) -> int:
        """Bytes of a stored result."""
        if self.rescale is None:
            return 4
        return 2 if self.widened else self.rescale.bits // 8

    @property
    def front(self) -> IntArray | None:
        """Constants in front of the operand's rows."""
        return self.rows.front if isinstance(self.rows, Sequence) else None

    @property
    def map(self) -> Map | None:
        """Of the rows, where they are not a sequence."""
        return self.rows if isinstance(self.rows, Map) else None


@dataclass(frozen=True)
class Mean:
    """Mean over tokens of a tensor in memory, rounded half to even, or their sum by a factor.

    The tensor is int16, and its bytes are operands that share multipliers in pairs, where the odd one must not be -128:
    it is a high byte, 0 or -1. Each mean of a channel is followed by that of its high bytes, which nobody needs.

    Parameters
    ----------
    first : tokens before this one are left out
    factor : of the sum; None where it is the mean's
    """

    name: str
    source: str
    first: int = 0
    factor: Dyadic | None = None


@dataclass(frozen=True, eq=False)
class ScoreBias:
    """The bias that is added to scores, by heads and pairs of tokens.

    Parameters
    ----------
    name : the scores with it
    factor : of the scores
    terms : (heads, tokens, tokens), added to the scores once they are multiplied by the factor and rounded
    """

    name: str
    factor: Dyadic
    terms: IntArray


@dataclass(frozen=True, eq=False)
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


@dataclass(frozen=True, eq=False)
class Plan:
    """Layers in order; `image` is the tensor that the host writes, `outputs` are those that it reads.

    `tokens` is the length of a ViT's sequence, learnt tokens in front included; `last_side` the side of a Swin's last
    map, and None for a ViT.
    """

    layers: tuple[Layer, ...]
    image: str
    outputs: tuple[str, ...]
    tokens: int
    patch: int
    last_side: int | None = None
