"""The fused layers that a graph falls into: each is one or a few kinds of operations of the machine."""

from __future__ import annotations

from dataclasses import dataclass

from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import IntArray
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = ["Attention", "Gelu", "Layer", "Matmul", "Norm", "Plan", "Residual", "Source"]


@dataclass(frozen=True)
class Norm:
    """LayerNorm and its rescale, done while the tensor is loaded. `name` is the rescaled tensor."""

    name: str
    source: str
    bias: IntArray
    rescale: Rescale


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
    """What a 16-bit result is added to: `skip` is a tensor, or the rows of a constant."""

    add: ResidualAdd
    skip: str | IntArray


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
    token : rows are written one further on, and row 0 is this constant (the class token, position added)
    only_token : only this row of the source is needed
    """

    name: str
    source: Source
    weight: IntArray
    bias: IntArray | None
    rescale: Rescale | None = None
    residual: Residual | None = None
    inner: str | None = None
    token: IntArray | None = None
    only_token: int | None = None
    patches: bool = False


@dataclass
class Attention:
    """Scores, Shiftmax and the product with V of all heads, from the tensor that holds Q, K and V."""

    name: str
    source: str
    heads: int
    scores: Rescale
    softmax: Shiftmax
    rescale: Rescale
    scores_name: str
    softmax_name: str


Layer = Matmul | Attention


@dataclass
class Plan:
    """Layers in order; `image` and `output` are the tensors that the host writes and reads."""

    layers: list[Layer]
    image: str
    output: str
    tokens: int
    patch: int


def factor_of(rescale: Rescale | None) -> Dyadic | None:
    return None if rescale is None else rescale.factor
