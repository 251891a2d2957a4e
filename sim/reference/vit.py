"""The graph of a ViT or DeiT from the tensors of an integer model."""

from __future__ import annotations

import numpy as np

from sim.reference.arithmetic import Arithmetic
from sim.reference.builder import GraphBuilder, Tensors
from sim.reference.graph import Graph
from sim.reference.nonlinear import softmax_of
from sim.reference.operations import Concatenate, Constant, FirstTokens, Patches, PrependToken, SelectToken
from sim.reference.rescale import Rescale, ResidualAdd
from sim.reference.vit_shape import VitShape

__all__ = ["vit_graph"]


def vit_graph(shape: VitShape, tensors: Tensors, arithmetic: Arithmetic) -> Graph:
    """The graph whose tensors have the authors' module names.

    Parameters
    ----------
    tensors : integers and scales of the model under the authors' names, as `ModelShape.layout` lists them
    arithmetic : preset or variant; decides Shiftmax, the multipliers and the limits of K and V
    """
    b = GraphBuilder(tensors, arithmetic)
    b.graph.add("patches", Patches(shape.patch), "qact_input")
    accumulator = b.graph.add("patch_embed.proj", b.weights("patch_embed.proj"), "patches")
    factor = b.dyadic(b.accumulator_scale("patch_embed.proj", "qact_input"), "patch_embed.qact")
    b.graph.add("patch_embed.qact", Rescale(factor, 16), accumulator)
    names = [one.integer for one in shape.embeddings() if one.target == "patch_embed.qact"]
    b.graph.add("tokens", PrependToken(np.concatenate([b.integers(name) for name in names], 1)), "patch_embed.qact")
    b.graph.add("qact_pos", Constant(b.integers("pos_embed_integer")))
    add = ResidualAdd(b.dyadic(b.scale("patch_embed.qact"), "qact1"), b.dyadic(b.scale("qact_pos"), "qact1"))
    x = b.graph.add("qact1", add, "tokens", "qact_pos")
    for index in range(shape.depth):
        x = _block(b, f"blocks.{index}", x, shape)
    b.norm("norm", x)
    if shape.distilled:
        b.graph.add("qact2", b.norm_rescale("norm", "qact2"), b.graph.add("two_tokens", FirstTokens(2), "norm"))
        b.graph.add("head", b.weights("head"), b.graph.add("side_by_side", Concatenate(), "qact2"))
    else:
        b.graph.add("class_token", SelectToken(0), "norm")
        b.graph.add("qact2", b.norm_rescale("norm", "qact2"), "class_token")
        b.graph.add("head", b.weights("head"), "qact2")
    return b.graph


def _block(b: GraphBuilder, block: str, x: str, shape: VitShape) -> str:
    name = f"{block}.attn"

    def probabilities(product_scale: np.float32) -> tuple[str, np.float32]:
        scores = f"{name}.qact_attn1"
        b.graph.add(scores, Rescale(b.dyadic(product_scale, scores), 8), f"{name}.matmul_1")
        softmax = softmax_of(b.arithmetic, b.scale(scores), shape.softmax_bits)
        return b.graph.add(f"{name}.int_softmax", softmax, scores), softmax.scale

    return b.block(block, x, lambda y: b.attention(name, y, shape.heads, "qact2", "qact3", probabilities))
