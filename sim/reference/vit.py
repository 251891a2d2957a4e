"""The graph of a ViT in any of its variations from the tensors of an integer model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim.reference.arithmetic import Arithmetic
from sim.reference.builder import GraphBuilder, Tensors
from sim.reference.graph import Graph
from sim.reference.nonlinear import softmax_of
from sim.reference.operations import Concatenate, Constant, FirstTokens, Patches, PrependToken, SelectToken, TokenSum
from sim.reference.outputs import Output
from sim.reference.rescale import Rescale, ResidualAdd
from sim.reference.vit_shape import POOLING, VitShape

__all__ = ["vit_graph"]


def vit_graph(
    shape: VitShape, tensors: Tensors, arithmetic: Arithmetic, outputs: Mapping[str, Output] | None = None
) -> Graph:
    """The graph whose tensors have the authors' module names.

    Parameters
    ----------
    tensors : integers and scales of the model under the authors' names, as `ModelShape.layout` lists them
    arithmetic : preset or variant; decides Shiftmax, the multipliers and the limits of K and V
    outputs : some of `shape.outputs`, where it is not the head's accumulators
    """
    b = GraphBuilder(tensors, arithmetic)
    x = _embedded(b, shape)
    if shape.pre_norm:
        b.normalised("norm_pre", x, "norm_pre.qact", 16)
        x = b.graph.add("qact_pre", Rescale(b.dyadic(b.scale("norm_pre.qact"), "qact_pre"), 16), "norm_pre.qact")
    bits = {one.name: one.bits for one in shape.activations()}
    for block in shape.block_names():
        x = _block(b, block, x, shape, bits[f"{block}.qact4"])
    b.graph.add("head", b.weights("head"), _read_by_the_head(b, x, shape))
    if outputs is not None:
        if shape.pool in ("token", "attention"):
            _other_outputs(b, shape)
        b.outputs(outputs)
    return b.graph.without_unused()


def _embedded(b: GraphBuilder, shape: VitShape) -> str:
    """The tokens in front of the first block, with their positions."""
    b.graph.add("patches", Patches(shape.patch), "qact_input")
    accumulator = b.graph.add("patch_embed.proj", b.weights("patch_embed.proj"), "patches")
    factor = b.dyadic(b.accumulator_scale("patch_embed.proj", "qact_input"), "patch_embed.qact")
    x = b.graph.add("patch_embed.qact", Rescale(factor, 16), accumulator)
    names = [one.integer for one in shape.embeddings() if one.target == "patch_embed.qact"]
    if names:
        x = b.graph.add("tokens", PrependToken(np.concatenate([b.integers(name) for name in names], 1)), x)
    b.graph.add("qact_pos", Constant(b.integers("pos_embed_integer")))
    add = ResidualAdd(b.dyadic(b.scale("patch_embed.qact"), "qact1"), b.dyadic(b.scale("qact_pos"), "qact1"))
    return b.graph.add("qact1", add, x, "qact_pos")


def _read_by_the_head(b: GraphBuilder, x: str, shape: VitShape) -> str:
    """From the last block to what the head reads."""
    if shape.pool == "mean_norm":
        return b.normalised("norm", _token_mean(b, x, "qact_pool", shape), "qact2")
    if shape.pool == "mean":
        return _token_mean(b, b.normalised("norm", x, "qact2"), "qact3", shape)
    if shape.pool == "attention":
        return _pooled(b, b.normalised("norm", x, "qact2"), shape)
    b.norm("norm", x)
    if shape.distilled:
        b.graph.add("qact2", b.norm_rescale("norm", "qact2"), b.graph.add("two_tokens", FirstTokens(2), "norm"))
        return b.graph.add("side_by_side", Concatenate(), "qact2")
    b.graph.add("class_token", SelectToken(0), "norm")
    return b.graph.add("qact2", b.norm_rescale("norm", "qact2"), "class_token")


def _other_outputs(b: GraphBuilder, shape: VitShape) -> None:
    """All tokens and the mean of the patches, on the scale of `qact2`, of a model whose head reads neither."""
    for name in ("qact2_tokens", "qact2_mean"):
        b.alias(name, "qact2")
    tokens = "qact2"
    if shape.pool == "token":
        tokens = b.graph.add("qact2_tokens", b.norm_rescale("norm", "qact2"), "norm")
    _token_mean(b, tokens, "qact2_mean", shape, "qact2_sum")


def _token_mean(b: GraphBuilder, source: str, target: str, shape: VitShape, total: str = "patch_sum") -> str:
    """The mean of the patches: their sum, whose rescale divides."""
    b.graph.add(total, TokenSum(shape.tokens_in_front), source)
    factor = b.dyadic(np.float32(b.scale(source) / np.float32(shape.patches)), target)
    return b.graph.add(target, Rescale(factor, 8), total)


def _pooled(b: GraphBuilder, source: str, shape: VitShape) -> str:
    """What the learnt query attends to. It is the Q of every token, so all rows are the same, and so is their mean."""
    branch = _attention(b, POOLING, source, shape)
    b.normalised(f"{POOLING}.norm", branch, f"{POOLING}.qact_norm")
    x = b.residual(b.mlp(f"{POOLING}.mlp", f"{POOLING}.qact_norm", 8), branch, f"{POOLING}.qact4", 8)
    return _token_mean(b, x, "qact3", shape)


def _block(b: GraphBuilder, block: str, x: str, shape: VitShape, result_bits: int) -> str:
    def attention(source: str) -> str:
        return _attention(b, f"{block}.attn", source, shape)

    return b.block(block, x, attention, result_bits)


def _attention(b: GraphBuilder, name: str, source: str, shape: VitShape) -> str:
    def probabilities(product_scale: np.float32) -> tuple[str, np.float32]:
        scores = f"{name}.qact_attn1"
        b.graph.add(scores, Rescale(b.dyadic(product_scale, scores), 8), f"{name}.matmul_1")
        softmax = softmax_of(b.arithmetic, b.scale(scores), shape.softmax_bits)
        return b.graph.add(f"{name}.int_softmax", softmax, scores), softmax.scale

    return b.attention(name, source, shape.heads, shape.head_width, "qact2", "qact3", probabilities)
