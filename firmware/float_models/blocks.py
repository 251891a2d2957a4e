"""What the float models share: the operations and the Transformer block, in float32 numpy."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from sim.reference.addressing import patches
from sim.reference.model_shape import ModelShape

FloatArray = npt.NDArray[np.float32]
Observer = Callable[[str, FloatArray], None]
"""Called with the name of a tensor that the integer machine quantises (the authors' module names) and its value."""


def erf(x: FloatArray) -> FloatArray:
    """The error function within 1e-6: Abramowitz and Stegun 7.1.26 (1.5e-7) and float32's roundings."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    result: FloatArray = np.copysign(1 - polynomial * np.exp(-x * x), x).astype(np.float32)
    return result


def gelu(x: FloatArray) -> FloatArray:
    """x * Phi(x), elementwise."""
    return (x * np.float32(0.5) * (1 + erf(x * np.float32(1 / math.sqrt(2))))).astype(np.float32)


def gelu_tanh(x: FloatArray) -> FloatArray:
    """GELU by its tanh approximation, elementwise."""
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    result: FloatArray = (x * np.float32(0.5) * (1 + np.tanh(inner))).astype(np.float32)
    return result


def quick_gelu(x: FloatArray) -> FloatArray:
    """x * sigmoid(1.702 x), elementwise."""
    result: FloatArray = (x * np.float32(0.5) * (1 + np.tanh(np.float32(1.702 / 2) * x))).astype(np.float32)
    return result


FLOAT_ACTIVATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "quick_gelu": quick_gelu,
}
"""By their names in `ModelShape.activation`."""


def softmax(x: FloatArray) -> FloatArray:
    """Softmax over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    result: FloatArray = (e / e.sum(axis=-1, keepdims=True)).astype(np.float32)
    return result


def layer_norm(x: FloatArray, gamma: FloatArray, beta: FloatArray, epsilon: float) -> FloatArray:
    """LayerNorm over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    result: FloatArray = (centred / np.sqrt(variance + np.float32(epsilon)) * gamma + beta).astype(np.float32)
    return result


class FloatModel(ABC):
    """A float model that the quantiser calibrates on and compares with. Every tensor that the integer graph quantises
    is observed once in a forward, under the authors' name and with the shape that the integer reference has there.

    Parameters
    ----------
    shape : dimensions
    weights : as `ModelShape.weight_shapes` lists them
    """

    def __init__(self, shape: ModelShape, weights: Mapping[str, FloatArray]) -> None:
        self.classes = shape.classes
        self.epsilon = shape.epsilon
        self.activation = FLOAT_ACTIVATIONS[shape.activation]
        self.weights = weights
        self._observe: Observer | None = None

    def forward(self, images: FloatArray, observe: Observer | None = None) -> FloatArray:
        """Logits (batch, classes) of preprocessed images (batch, 3, image, image)."""
        self._observe = observe
        try:
            return self.seen("head", self.linear("head", self.features(self.seen("qact_input", images))))
        finally:
            self._observe = None

    @abstractmethod
    def features(self, images: FloatArray) -> FloatArray:
        """What the head reads (batch, channels)."""

    def seen(self, name: str, x: FloatArray) -> FloatArray:
        """`x`, shown to the observer."""
        if self._observe is not None:
            self._observe(name, x)
        return x

    def linear(self, name: str, x: FloatArray) -> FloatArray:
        """Linear layer `name`, with its bias if it has one."""
        product = x @ self.weights[f"{name}.weight"].T
        return product + self.weights[f"{name}.bias"] if f"{name}.bias" in self.weights else product

    def norm(self, name: str, x: FloatArray) -> FloatArray:
        """LayerNorm `name`."""
        return layer_norm(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], self.epsilon)

    def patch_embedding(self, images: FloatArray) -> FloatArray:
        """(batch, patches, channels) before any norm or position."""
        kernel = self.weights["patch_embed.proj.weight"]
        product = patches(images, kernel.shape[-1]) @ kernel.reshape(len(kernel), -1).T
        return product + self.weights["patch_embed.proj.bias"]

    def block(self, name: str, x: FloatArray, attention: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """A Transformer block; `attention` maps the normalised tokens to the residual branch."""
        seen = self.seen
        x = seen(f"{name}.qact2", x + attention(seen(f"{name}.qact1", self.norm(f"{name}.norm1", x))))
        y = self.mlp(f"{name}.mlp", seen(f"{name}.qact3", self.norm(f"{name}.norm2", x)))
        return seen(f"{name}.qact4", x + y)

    def mlp(self, name: str, x: FloatArray) -> FloatArray:
        """The two layers of an MLP with the activation between."""
        y = self.activation(self.seen(f"{name}.qact_gelu", self.linear(f"{name}.fc1", x)))
        return self.seen(f"{name}.qact2", self.linear(f"{name}.fc2", self.seen(f"{name}.qact1", y)))

    def attention(
        self,
        name: str,
        x: FloatArray,
        heads: int,
        width: int,
        merged: str,
        projected: str,
        probabilities: Callable[[FloatArray], FloatArray],
    ) -> FloatArray:
        """Attention `name` on (batch, tokens, channels); `probabilities` maps the scaled scores (batch, heads, tokens,
        tokens) to the weights of V; a head has `width` channels that are not padding. `merged` and `projected` name
        the activations around the projection.
        """
        batch, tokens, _ = x.shape
        qkv = self.seen(f"{name}.qact1", self.linear(f"{name}.qkv", x))
        q, k, v = qkv.reshape(batch, tokens, 3, heads, -1).transpose(2, 0, 3, 1, 4)
        scores = self.seen(f"{name}.qact_attn1", (q @ k.swapaxes(-1, -2)) * np.float32(width**-0.5))
        y = (probabilities(scores) @ v).transpose(0, 2, 1, 3).reshape(batch, tokens, -1)
        return self.seen(f"{name}.{projected}", self.linear(f"{name}.proj", self.seen(f"{name}.{merged}", y)))
