"""The float Vision Transformer that the quantiser calibrates on and compares with: timm's ViT and DeiT, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from sim.reference.vit_shape import VitShape

FloatArray = npt.NDArray[np.float32]
Observer = Callable[[str, FloatArray], None]
"""Called with the name of a tensor that the integer machine quantises (the authors' module names) and its value."""

LAYER_NORM_EPSILON = 1e-6  # timm's ViT


def erf(x: FloatArray) -> FloatArray:
    """The error function within 1e-6: Abramowitz and Stegun 7.1.26 (1.5e-7) and float32's roundings."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    polynomial = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return np.copysign(1 - polynomial * np.exp(-x * x), x).astype(np.float32)


def gelu(x: FloatArray) -> FloatArray:
    """x * Phi(x), elementwise."""
    return (x * np.float32(0.5) * (1 + erf(x * np.float32(1 / math.sqrt(2))))).astype(np.float32)


def softmax(x: FloatArray) -> FloatArray:
    """Softmax over the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return (e / e.sum(axis=-1, keepdims=True)).astype(np.float32)


def layer_norm(x: FloatArray, gamma: FloatArray, beta: FloatArray) -> FloatArray:
    """LayerNorm over the last axis with timm's epsilon."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.square(centred).mean(axis=-1, keepdims=True)
    return (centred / np.sqrt(variance + np.float32(LAYER_NORM_EPSILON)) * gamma + beta).astype(np.float32)


class FloatVit:
    """timm's ViT in float32.

    Parameters
    ----------
    shape : dimensions
    weights : timm's names, as `VitShape.weight_shapes` lists them
    """

    def __init__(self, shape: VitShape, weights: Mapping[str, FloatArray]) -> None:
        self.shape = shape
        self.weights = weights

    def _linear(self, name: str, x: FloatArray) -> FloatArray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, name: str, x: FloatArray) -> FloatArray:
        return layer_norm(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def patches(self, images: FloatArray) -> FloatArray:
        """(batch, 3, H, W) to (batch, patches, 3 * patch * patch), patches row by row."""
        side, patch = self.shape.image // self.shape.patch, self.shape.patch
        cut = images.reshape(len(images), 3, side, patch, side, patch).transpose(0, 2, 4, 1, 3, 5)
        return cut.reshape(len(images), side * side, 3 * patch * patch)

    def forward(self, images: FloatArray, observe: Observer | None = None) -> FloatArray:
        """Logits (batch, classes) of preprocessed images (batch, 3, image, image).

        `observe` sees every tensor that the integer graph quantises, under the authors' name and with the shape that
        the integer reference has there.
        """

        def seen(name: str, x: FloatArray) -> FloatArray:
            if observe is not None:
                observe(name, x)
            return x

        weights, dim = self.weights, self.shape.dim
        seen("qact_input", images)
        kernel = weights["patch_embed.proj.weight"].reshape(dim, -1)
        x = seen("patch_embed.qact", self.patches(images) @ kernel.T + weights["patch_embed.proj.bias"])
        token = np.broadcast_to(weights["cls_token"], (len(images), 1, dim))
        x = seen("qact1", np.concatenate([token, x], axis=1) + seen("qact_pos", weights["pos_embed"]))
        for index in range(self.shape.depth):
            x = self._block(f"blocks.{index}.", x, seen)
        x = seen("qact2", self._norm("norm", x[:, 0]))
        return seen("head", self._linear("head", x))

    def _block(self, block: str, x: FloatArray, seen: Callable[[str, FloatArray], FloatArray]) -> FloatArray:
        batch, tokens, dim = x.shape
        heads = self.shape.heads
        y = seen(f"{block}qact1", self._norm(f"{block}norm1", x))
        qkv = seen(f"{block}attn.qact1", self._linear(f"{block}attn.qkv", y))
        q, k, v = qkv.reshape(batch, tokens, 3, heads, dim // heads).transpose(2, 0, 3, 1, 4)
        scores = (q @ k.swapaxes(-1, -2)) * np.float32((dim // heads) ** -0.5)
        probabilities = seen(f"{block}attn.int_softmax", softmax(seen(f"{block}attn.qact_attn1", scores)))
        y = (probabilities @ v).transpose(0, 2, 1, 3).reshape(batch, tokens, dim)
        y = seen(f"{block}attn.qact3", self._linear(f"{block}attn.proj", seen(f"{block}attn.qact2", y)))
        x = seen(f"{block}qact2", x + y)
        y = seen(f"{block}qact3", self._norm(f"{block}norm2", x))
        y = seen(f"{block}mlp.qact_gelu", self._linear(f"{block}mlp.fc1", y))
        y = seen(f"{block}mlp.qact2", self._linear(f"{block}mlp.fc2", seen(f"{block}mlp.qact1", gelu(y))))
        return seen(f"{block}qact4", x + y)
