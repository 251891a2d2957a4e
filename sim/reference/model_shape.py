"""What every model consists of: layers, activations and embeddings by the authors' names. Weights, the constants of the
integer model and its quantisation all follow from these lists.
"""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sim.reference.errors import UserError
from sim.reference.outputs import Output
from sim.reference.rounding import ceil_div

__all__ = [
    "ACTIVATIONS",
    "MLP_RATIO",
    "Activation",
    "Embedding",
    "Feeds",
    "Layout",
    "LinearLayer",
    "ModelShape",
    "NormLayer",
    "padded_width",
]

MLP_RATIO = 4
COLOURS = 3
HEAD_CHANNELS = 16
"""An attention head's channels come in so many: those that it has beyond the float model's are zero."""
ACTIVATIONS = ("gelu", "gelu_tanh", "quick_gelu")
"""What an MLP's activation is in the float model; ShiftGELU stands for each of them."""
INTEGERS: dict[int, type[np.signedinteger]] = {8: np.int8, 16: np.int16, 32: np.int32}

Layout = dict[str, tuple[tuple[int, ...], type[np.generic]]]


@dataclass(frozen=True)
class LinearLayer:
    """A matrix product with weights, the patch embedding's convolution included.

    Parameters
    ----------
    name : the authors' module
    source : the activation whose scale its input has
    weight : shape, output channels first
    rows : vectors of a frame that it multiplies
    bias : whether it has one
    """

    name: str
    source: str
    weight: tuple[int, ...]
    rows: int
    bias: bool = True

    @property
    def scale(self) -> str:
        """Name of the constant that holds the weights' scales."""
        return f"{self.name}.{'conv' if len(self.weight) == 4 else 'fc'}_scaling_factor"


@dataclass(frozen=True)
class NormLayer:
    """A LayerNorm over `channels`."""

    name: str
    channels: int


class Feeds(enum.Enum):
    """What reads an activation, where that decides its scale."""

    ANYTHING = enum.auto()
    SHIFTMAX = enum.auto()
    SHIFTGELU = enum.auto()


@dataclass(frozen=True)
class Activation:
    """A requantised tensor of `bits` bits with one scale."""

    name: str
    bits: int
    feeds: Feeds = Feeds.ANYTHING

    @property
    def scale(self) -> str:
        """Name of the constant that holds its scale."""
        return f"{self.name}.act_scaling_factor"


@dataclass(frozen=True)
class Embedding:
    """A learnt tensor that joins the activations: tokens, positions, bias tables.

    Parameters
    ----------
    name : the authors' (and timm's) name
    shape : its shape
    target : the activation on whose scale its integers are
    bits : of the integers; 32 means that nothing is clamped
    """

    name: str
    shape: tuple[int, ...]
    target: str
    bits: int

    @property
    def integer(self) -> str:
        """Name of its integers in the model file."""
        return f"{self.name}_integer"


class ModelShape(ABC):
    """Dimensions of a model, and the lists that follow from them. A frozen dataclass of `image`, `patch`, `classes`
    and more.
    """

    image: int
    patch: int
    classes: int
    activation: str
    """One of ACTIVATIONS."""
    epsilon: float
    """What the float model's LayerNorms add to the variance; the integer ones add nothing."""
    gives: str
    """One of GIVES: what the head gives."""
    softmax_bits: ClassVar[int]
    """Output bits of Shiftmax where the arithmetic leaves them to the model."""

    @property
    @abstractmethod
    def score_length(self) -> int:
        """Scores of the longest row that Shiftmax sees."""

    @abstractmethod
    def layers(self) -> Sequence[LinearLayer | NormLayer]:
        """Everything with weights, in the order of a checkpoint."""

    @abstractmethod
    def activations(self) -> Sequence[Activation]:
        """Every requantised tensor, the inputs of the shift operations included."""

    @abstractmethod
    def embeddings(self) -> Sequence[Embedding]:
        """Learnt tensors that are no layer's."""

    @abstractmethod
    def outputs(self) -> dict[str, Output]:
        """What the model can give, by the kinds of `OUTPUTS`; the first is what it gives by itself."""

    @abstractmethod
    def block_names(self) -> list[str]:
        """The Transformer blocks in order."""

    def buffers(self) -> dict[str, npt.NDArray[np.generic]]:
        """What a checkpoint may hold beside weights, although it follows from the dimensions."""
        return {}

    @abstractmethod
    def attention_macs(self) -> int:
        """Multiply-accumulates of all Q K^T and A V of a frame."""

    def macs(self) -> int:
        """Multiply-accumulates of a frame: those that the model asks for, no machine's padding among them."""
        return self.attention_macs() + sum(layer.rows * math.prod(layer.weight) for layer in self.linears())

    def parameters(self) -> int:
        """Learnt numbers of the float model."""
        return sum(math.prod(size) for size in self.weight_shapes().values())

    def linears(self) -> list[LinearLayer]:
        """The linear layers among `layers`."""
        return [layer for layer in self.layers() if isinstance(layer, LinearLayer)]

    def norms(self) -> list[NormLayer]:
        """The LayerNorms among `layers`."""
        return [layer for layer in self.layers() if isinstance(layer, NormLayer)]

    @property
    def head(self) -> LinearLayer:
        """The classifier, always the last layer."""
        return self.linears()[-1]

    def weight_shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each float weight, under the authors' names."""
        shapes = {embedding.name: embedding.shape for embedding in self.embeddings()}
        for layer in self.layers():
            if isinstance(layer, NormLayer):
                shapes |= {f"{layer.name}.weight": (layer.channels,), f"{layer.name}.bias": (layer.channels,)}
                continue
            shapes[f"{layer.name}.weight"] = layer.weight
            if layer.bias:
                shapes[f"{layer.name}.bias"] = layer.weight[:1]
        return shapes

    def layout(self) -> Layout:
        """Name, shape and element type of every constant of the integer model."""
        result: Layout = {}
        for layer in self.linears():
            result[f"{layer.name}.weight_integer"] = (layer.weight, np.int8)
            if layer.bias:
                result[f"{layer.name}.bias_integer"] = (layer.weight[:1], np.int32)
            result[layer.scale] = (layer.weight[:1], np.float32)
        for norm in self.norms():
            result[f"{norm.name}.bias_integer"] = ((norm.channels,), np.int32)
            result[f"{norm.name}.norm_scaling_factor"] = ((norm.channels,), np.float32)
        result |= {activation.scale: ((), np.float32) for activation in self.activations()}
        return result | {one.integer: (one.shape, INTEGERS[one.bits]) for one in self.embeddings()}


def padded_width(width: int) -> int:
    """Channels that an attention head has here, of which the float model has `width`."""
    return ceil_div(width, HEAD_CHANNELS) * HEAD_CHANNELS


def patch_embedding(image: int, patch: int, dim: int) -> LinearLayer:
    """The convolution that makes tokens of patches."""
    return LinearLayer("patch_embed.proj", "qact_input", (dim, COLOURS, patch, patch), (image // patch) ** 2)


def block_layers(
    block: str, dim: int, rows: int, merged: str, hidden: int | None = None, attended: int | None = None
) -> list[LinearLayer | NormLayer]:
    """A Transformer block's layers on `rows` tokens; `merged` is the activation before the attention's projection.

    `hidden`: channels of the MLP, where they are not MLP_RATIO times `dim`; `attended`: those of all heads, where they
    are not `dim`.
    """
    hidden, attended = hidden or MLP_RATIO * dim, attended or dim
    return [
        NormLayer(f"{block}.norm1", dim),
        NormLayer(f"{block}.norm2", dim),
        LinearLayer(f"{block}.attn.qkv", f"{block}.qact1", (3 * attended, dim), rows),
        LinearLayer(f"{block}.attn.proj", f"{block}.attn.{merged}", (dim, attended), rows),
        LinearLayer(f"{block}.mlp.fc1", f"{block}.qact3", (hidden, dim), rows),
        LinearLayer(f"{block}.mlp.fc2", f"{block}.mlp.qact1", (dim, hidden), rows),
    ]


def block_activations(block: str, attention: Sequence[Activation], result_bits: int = 16) -> list[Activation]:
    """A Transformer block's activations, with those of its attention, whose names start behind `attn.`. What it gives,
    and the branch that is added last, have `result_bits`.
    """
    inner = [Activation(f"{block}.attn.{one.name}", one.bits, one.feeds) for one in attention]
    return [
        Activation(f"{block}.qact1", 8),
        *inner,
        Activation(f"{block}.qact2", 16),
        Activation(f"{block}.qact3", 8),
        Activation(f"{block}.mlp.qact_gelu", 8, Feeds.SHIFTGELU),
        Activation(f"{block}.mlp.qact1", 8),
        Activation(f"{block}.mlp.qact2", result_bits),
        Activation(f"{block}.qact4", result_bits),
    ]


def check_dimensions(**values: int) -> None:
    """Raises UserError for one below 1."""
    for name, value in values.items():
        if value < 1:
            raise UserError(f"{name} must be at least 1, not {value}.")


def check_divides(name: str, value: int, divisor_name: str, divisor: int) -> None:
    """Raises UserError unless `divisor` divides `value`."""
    if value % divisor:
        raise UserError(f"{name} must be a multiple of {divisor_name}, not {value} with {divisor_name} {divisor}.")


def check_float_model(activation: str, epsilon: float) -> None:
    """Raises UserError for what no float model has."""
    if activation not in ACTIVATIONS:
        raise UserError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}.")
    if not 0 <= epsilon <= 1:
        raise UserError(f"epsilon must be 0 to 1, not {epsilon:g}.")
