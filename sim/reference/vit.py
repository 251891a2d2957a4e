"""The graph of a ViT or DeiT from the tensors of an integer model."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from sim.reference.arithmetic import Arithmetic
from sim.reference.builder import FloatArray, GraphBuilder, Tensors
from sim.reference.graph import Graph
from sim.reference.operations import (
    Constant,
    HeadMerge,
    HeadSplit,
    MatMul,
    Patches,
    PrependToken,
    SelectToken,
)
from sim.reference.rescale import Rescale, ResidualAdd
from sim.reference.shiftmax import Shiftmax

__all__ = ["VitDimensions", "input_scale", "logit_scales", "vit_graph"]


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
    b = GraphBuilder(tensors, arithmetic)
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


def _block(b: GraphBuilder, name: str, x: str, shape: VitDimensions) -> str:
    b.normalised(f"{name}.norm1", x, f"{name}.qact1")
    attended = _attention(b, f"{name}.attn", f"{name}.qact1", shape)
    x = b.residual(attended, x, f"{name}.qact2")
    b.normalised(f"{name}.norm2", x, f"{name}.qact3")
    b.mlp(f"{name}.mlp", f"{name}.qact3")
    return b.residual(f"{name}.mlp.qact2", x, f"{name}.qact4")


def _attention(b: GraphBuilder, name: str, x: str, shape: VitDimensions) -> str:
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
