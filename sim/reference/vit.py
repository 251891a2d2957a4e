"""The graph of a ViT or DeiT from the tensors of an integer model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sim.reference.arithmetic import Arithmetic
from sim.reference.graph import Graph
from sim.reference.layernorm import ILayerNorm
from sim.reference.operations import (
    Constant,
    HeadMerge,
    HeadSplit,
    Linear,
    MatMul,
    Patches,
    PrependToken,
    SelectToken,
)
from sim.reference.rescale import Dyadic, Rescale, ResidualAdd
from sim.reference.rounding import IntArray
from sim.reference.shiftgelu import ShiftGELU
from sim.reference.shiftmax import Shiftmax

__all__ = ["VitDimensions", "input_scale", "logit_scales", "vit_graph"]

FloatArray = npt.NDArray[np.float32]
Tensors = Mapping[str, npt.NDArray[Any]]


class VitDimensions(Protocol):
    """What a graph needs to know beside the tensors' own shapes."""

    @property
    def patch(self) -> int: ...

    @property
    def dim(self) -> int: ...

    @property
    def depth(self) -> int: ...

    @property
    def heads(self) -> int: ...


class _Builder:
    """Adds the recurring pieces: a linear layer or a norm with the requantisation that always follows it."""

    def __init__(self, tensors: Tensors, arithmetic: Arithmetic) -> None:
        self.tensors = tensors
        self.arithmetic = arithmetic
        self.graph = Graph("qact_input", "head")

    def scale(self, name: str) -> np.float32:
        return np.float32(self.tensors[f"{name}.act_scaling_factor"])

    def integers(self, name: str) -> IntArray:
        return self.tensors[name].astype(np.int64)

    def dyadic(self, scale_in: FloatArray | np.float32, target: str) -> Dyadic:
        return Dyadic.from_ratio(scale_in, self.scale(target), self.arithmetic.multiplier_bits)

    def weights(self, name: str) -> Linear:
        weight = self.integers(f"{name}.weight_integer")
        return Linear(weight.reshape(len(weight), -1), self.integers(f"{name}.bias_integer"))

    def accumulator_scale(self, name: str, source: str) -> FloatArray:
        kind = "conv" if name.startswith("patch_embed") else "fc"
        return (self.tensors[f"{name}.{kind}_scaling_factor"] * self.scale(source)).astype(np.float32)

    def linear(self, name: str, source: str, target: str, bits: int, low: IntArray | None = None) -> str:
        """Linear layer `name` on tensor `source`, requantised to `target`."""
        accumulator = self.graph.add(name, self.weights(name), source)
        rescale = Rescale(self.dyadic(self.accumulator_scale(name, source), target), bits, low)
        return self.graph.add(target, rescale, accumulator)

    def norm(self, name: str, source: str) -> str:
        norm = ILayerNorm(self.integers(f"{name}.bias_integer"), self.arithmetic.root_start_from_bits)
        return self.graph.add(name, norm, source)

    def norm_rescale(self, name: str, target: str) -> Rescale:
        return Rescale(self.dyadic(self.tensors[f"{name}.norm_scaling_factor"], target), 8)

    def residual(self, branch: str, skip: str, target: str) -> str:
        add = ResidualAdd(self.dyadic(self.scale(branch), target), self.dyadic(self.scale(skip), target))
        return self.graph.add(target, add, branch, skip)


def input_scale(tensors: Tensors) -> np.float32:
    """Scale of the quantised image."""
    return np.float32(tensors["qact_input.act_scaling_factor"])


def logit_scales(tensors: Tensors) -> FloatArray:
    """What the integers of `head` are multiplied by, one a class."""
    product = tensors["head.fc_scaling_factor"] * np.float32(tensors["qact2.act_scaling_factor"])
    return np.asarray(product, np.float32)


def vit_graph(shape: VitDimensions, tensors: Tensors, arithmetic: Arithmetic) -> Graph:
    """The graph whose tensors have the authors' module names.

    Parameters
    ----------
    shape : patch side, width, depth and heads
    tensors : integers and scales of the model under the authors' names, as the integer model file lists them
    arithmetic : preset or variant; decides Shiftmax, the multipliers and the limits of K and V
    """
    b = _Builder(tensors, arithmetic)
    b.graph.add("patches", Patches(shape.patch), "qact_input")
    accumulator = b.graph.add("patch_embed.proj", b.weights("patch_embed.proj"), "patches")
    factor = b.dyadic(b.accumulator_scale("patch_embed.proj", "qact_input"), "patch_embed.qact")
    b.graph.add("patch_embed.qact", Rescale(factor, 16), accumulator)
    b.graph.add("tokens", PrependToken(b.integers("cls_token_integer")), "patch_embed.qact")
    b.graph.add("qact_pos", Constant(b.integers("pos_embed_integer")))
    add = ResidualAdd(b.dyadic(b.scale("patch_embed.qact"), "qact1"), b.dyadic(b.scale("qact_pos"), "qact1"))
    x = b.graph.add("qact1", add, "tokens", "qact_pos")
    for index in range(shape.depth):
        x = _block(b, f"blocks.{index}", x, shape)
    b.norm("norm", x)
    b.graph.add("class_token", SelectToken(0), "norm")
    b.graph.add("qact2", b.norm_rescale("norm", "qact2"), "class_token")
    b.graph.add("head", b.weights("head"), "qact2")
    return b.graph


def _block(b: _Builder, name: str, x: str, shape: VitDimensions) -> str:
    b.norm(f"{name}.norm1", x)
    b.graph.add(f"{name}.qact1", b.norm_rescale(f"{name}.norm1", f"{name}.qact1"), f"{name}.norm1")
    attended = _attention(b, f"{name}.attn", f"{name}.qact1", shape)
    x = b.residual(attended, x, f"{name}.qact2")
    b.norm(f"{name}.norm2", x)
    b.graph.add(f"{name}.qact3", b.norm_rescale(f"{name}.norm2", f"{name}.qact3"), f"{name}.norm2")
    gelu_input = b.linear(f"{name}.mlp.fc1", f"{name}.qact3", f"{name}.mlp.qact_gelu", 8)
    scale = b.scale(gelu_input)
    b.graph.add(f"{name}.mlp.act", ShiftGELU.of(b.arithmetic, scale), gelu_input)
    factor = b.dyadic(np.float32(scale * np.float32(1 / 128)), f"{name}.mlp.qact1")
    b.graph.add(f"{name}.mlp.qact1", Rescale(factor, 8), f"{name}.mlp.act")
    b.linear(f"{name}.mlp.fc2", f"{name}.mlp.qact1", f"{name}.mlp.qact2", 16)
    return b.residual(f"{name}.mlp.qact2", x, f"{name}.qact4")


def _attention(b: _Builder, name: str, x: str, shape: VitDimensions) -> str:
    # K and V become the operands that share a multiplier in pairs, so the arithmetic may limit them; Q does not.
    low = np.repeat(np.array([-128, b.arithmetic.packed_min, b.arithmetic.packed_min]), shape.dim)
    qkv = b.linear(f"{name}.qkv", x, f"{name}.qact1", 8, low)
    q, k, v = (b.graph.add(f"{name}.{part}", HeadSplit(i, shape.heads), qkv) for i, part in enumerate("qkv"))
    scale = b.scale(qkv)
    width = shape.dim // shape.heads
    product_scale = np.float32(np.float32(scale * scale) * np.float32(width**-0.5))
    b.graph.add(f"{name}.matmul_1", MatMul(transposed=True), q, k)
    scores = f"{name}.qact_attn1"
    b.graph.add(scores, Rescale(b.dyadic(product_scale, scores), 8), f"{name}.matmul_1")
    softmax = Shiftmax.of(b.arithmetic, b.scale(scores), 16)
    b.graph.add(f"{name}.int_softmax", softmax, scores)
    b.graph.add(f"{name}.matmul_2", MatMul(transposed=False), f"{name}.int_softmax", v)
    b.graph.add(f"{name}.merged", HeadMerge(), f"{name}.matmul_2")
    merged_scale = np.float32(softmax.scale * scale)
    b.graph.add(f"{name}.qact2", Rescale(b.dyadic(merged_scale, f"{name}.qact2"), 8), f"{name}.merged")
    return b.linear(f"{name}.proj", f"{name}.qact2", f"{name}.qact3", 16)
