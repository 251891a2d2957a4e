"""What fusion knows of each tensor of a graph: whether a layer stores it, or which later layer will absorb it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from firmware.compiler.errors import CompileError
from firmware.compiler.fuse.layers import Attention, Gelu, Matmul, Norm, ScoreBias, Windows
from sim.reference.graph import Node
from sim.reference.layernorm import ILayerNorm
from sim.reference.operations import HeadSplit
from sim.reference.polynomial_gelu import PolynomialGELU
from sim.reference.rescale import Rescale
from sim.reference.rounding import IntArray
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = [
    "Accumulators",
    "ConstantRows",
    "GeluOutput",
    "Head",
    "HeadOutputs",
    "Image",
    "ImagePatches",
    "MergedPatches",
    "NormOutput",
    "Prepended",
    "Probabilities",
    "RescaledGelu",
    "RescaledNorm",
    "Result",
    "ScoreAccumulators",
    "Scores",
    "SideBySide",
    "Tensor",
    "TokenAverage",
    "TokenTotal",
    "refused",
]


@dataclass(frozen=True)
class Tensor:
    """One of the kinds below; `kind` says which, for messages."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Image(Tensor):
    kind = "the image"


@dataclass(frozen=True)
class ImagePatches(Tensor):
    kind = "patches"


@dataclass(frozen=True, eq=False)
class ConstantRows(Tensor):
    """(1, rows, channels) of the model itself."""

    kind = "a constant"
    value: IntArray


@dataclass(frozen=True, eq=False)
class Accumulators(Tensor):
    """A product with weights that no rescale followed yet. `layer` is the layer without it."""

    kind = "accumulators"
    layer: Matmul
    windows: Windows | None


@dataclass(frozen=True, eq=False)
class Result(Tensor):
    """What `layer` writes to memory, window by window in the reference where there are `windows`.

    The layer is appended when its result is first read, and until then what follows may still become a part of it.
    """

    kind = "a stored tensor"
    layer: Matmul | Attention
    windows: Windows | None = None


@dataclass(frozen=True, eq=False)
class Prepended(Tensor):
    """Learnt tokens (1, count, channels) in front of a layer's result."""

    kind = "tokens in front of a result"
    layer: Matmul
    tokens: IntArray


@dataclass(frozen=True)
class MergedPatches(Tensor):
    """Four neighbours of a stored map side by side."""

    kind = "merged patches"
    tensor: str
    side: int  # of the merged map


@dataclass(frozen=True, eq=False)
class NormOutput(Tensor):
    """LayerNorm of a stored tensor, without its rescale; see `layers.Norm`."""

    kind = "a norm without rescale"
    tensor: str
    norm: ILayerNorm
    merged_side: int | None = None
    first_rows: int | None = None


@dataclass(frozen=True, eq=False)
class RescaledNorm(Tensor):
    kind = "a norm"
    norm: Norm
    windows: Windows | None = None


@dataclass(frozen=True, eq=False)
class GeluOutput(Tensor):
    """GELU of a stored tensor, without its rescale."""

    kind = "a GELU without rescale"
    tensor: str
    gelu: ShiftGELU | PolynomialGELU


@dataclass(frozen=True, eq=False)
class RescaledGelu(Tensor):
    kind = "a GELU"
    gelu: Gelu


@dataclass(frozen=True)
class SideBySide(Tensor):
    """All rows of a stored tensor, as one."""

    kind = "tokens side by side"
    tensor: str


@dataclass(frozen=True)
class TokenAverage(Tensor):
    """What the layer `tensor`, a `layers.Mean` of so many channels, writes."""

    kind = "a mean"
    tensor: str
    channels: int


@dataclass(frozen=True)
class TokenTotal(Tensor):
    """The sum of a stored tensor of so many channels, over the tokens from `first` on."""

    kind = "a sum over tokens"
    tensor: str
    channels: int
    first: int


@dataclass(frozen=True, eq=False)
class Head(Tensor):
    """Q, K or V of the stored tensor `source`, split into heads."""

    kind = "heads of Q, K or V"
    source: str
    split: HeadSplit
    windows: Windows | None


@dataclass(frozen=True, eq=False)
class ScoreAccumulators(Tensor):
    kind = "a product of Q and K"
    query: Head


@dataclass(frozen=True, eq=False)
class Scores(Tensor):
    """Requantised; `bias` is what was added to them."""

    kind = "scores"
    name: str
    query: Head
    rescale: Rescale
    bias: ScoreBias | None = None


@dataclass(frozen=True, eq=False)
class Probabilities(Tensor):
    """Shiftmax of scores, masked between two `regions`."""

    kind = "probabilities"
    name: str
    scores: Scores
    softmax: Shiftmax
    regions: IntArray | None = None

    @property
    def windows(self) -> Windows | None:
        return self.scores.query.windows


@dataclass(frozen=True, eq=False)
class HeadOutputs(Tensor):
    """Probabilities times V; `merged`: the heads side by side."""

    kind = "probabilities times V"
    probabilities: Probabilities
    merged: bool = False


def refused(node: Node, inputs: Sequence[Tensor], takes: str, index: int = 0) -> CompileError:
    """The error for a node one of whose inputs is not what it can be fused with."""
    return CompileError(
        f"{node.name}: {type(node.operation).__name__} of {node.inputs[index]} ({inputs[index].kind}) is no layer that "
        f"the machine can fuse; it takes {takes}."
    )
