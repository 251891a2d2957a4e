"""The graph of a Swin Transformer from the tensors of an integer model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim.reference.addressing import relative_position_index, window_regions
from sim.reference.arithmetic import OFFICIAL, Arithmetic
from sim.reference.builder import GraphBuilder, Tensors
from sim.reference.graph import Graph
from sim.reference.nonlinear import softmax_of
from sim.reference.operations import (
    AttentionMask,
    BiasAdd,
    Constant,
    Patches,
    PatchMerge,
    TokenMean,
    TokenSum,
    WindowMerge,
    WindowSplit,
)
from sim.reference.outputs import Output
from sim.reference.reciprocal import exact_reciprocal
from sim.reference.rescale import Rescale
from sim.reference.swin_shape import SwinShape

__all__ = ["swin_graph"]


def swin_graph(
    shape: SwinShape, tensors: Tensors, arithmetic: Arithmetic, outputs: Mapping[str, Output] | None = None
) -> Graph:
    """The graph whose tensors have the authors' module names.

    Parameters
    ----------
    tensors : integers and scales of the model under the authors' names, as `ModelShape.layout` lists them
    arithmetic : preset or variant; decides Shiftmax, the multipliers and the limits of K and V
    outputs : some of `shape.outputs`, where it is not the head's accumulators
    """
    b = GraphBuilder(tensors, arithmetic)
    b.graph.add("patches", Patches(shape.patch), "qact_input")
    accumulator = b.graph.add("patch_embed.proj", b.weights("patch_embed.proj"), "patches")
    before = "patch_embed.qact_before_norm"
    factor = b.dyadic(b.accumulator_scale("patch_embed.proj", "qact_input"), before)
    b.graph.add(before, Rescale(factor, 8), accumulator)
    b.normalised("patch_embed.norm", before, "patch_embed.qact", 16)
    x = b.graph.add("qact1", Rescale(b.dyadic(b.scale("patch_embed.qact"), "qact1"), 16), "patch_embed.qact")
    for stage in shape.stages:
        for index, block in enumerate(shape.blocks(stage)):
            x = _block(b, block, x, shape, stage, shape.shift(stage, index))
        if down := shape.downsample(stage):
            neighbours = b.graph.add(f"{down}.merged", PatchMerge(), x)
            b.normalised(f"{down}.norm", neighbours, f"{down}.qact1")
            x = b.linear(f"{down}.reduction", f"{down}.qact1", f"{down}.qact2", 8)
    _mean(b, b.normalised("norm", x, "qact2"), shape.side(shape.stages[-1]) ** 2)
    b.graph.add("head", b.weights("head"), "qact3")
    if outputs is not None:
        b.outputs(outputs)
    return b.graph.without_unused()


def _mean(b: GraphBuilder, source: str, tokens: int) -> None:
    """The mean over the tokens as `qact3`. Where it is not the authors' arithmetic, and no multiplier rounds a mean of
    so many as they do, it is the sum, whose rescale divides.
    """
    bits = b.arithmetic.multiplier_bits
    if bits < OFFICIAL.multiplier_bits and exact_reciprocal(tokens, bits) is None:
        factor = b.dyadic(np.float32(b.scale(source) / np.float32(tokens)), "qact3")
        b.graph.add("qact3", Rescale(factor, 8), b.graph.add("sum", TokenSum(0), source))
        return
    b.graph.add("mean", TokenMean(), source)
    b.graph.add("qact3", Rescale(b.dyadic(b.scale(source), "qact3"), 8), "mean")


def _block(b: GraphBuilder, block: str, x: str, shape: SwinShape, stage: int, shift: int) -> str:
    name, window, side = f"{block}.attn", shape.stage_window(stage), shape.side(stage)

    def probabilities(product_scale: np.float32) -> tuple[str, np.float32]:
        raw, scores = f"{name}.qact_attn1", f"{name}.qact2"
        b.graph.add(raw, Rescale(b.dyadic(product_scale, raw), 8), f"{name}.matmul_1")
        table = b.graph.add(f"{name}.qact_table", Constant(b.integers(f"{name}.relative_position_bias_table_integer")))
        raw_factor, table_factor = (b.dyadic(b.scale(one), scores) for one in (raw, table))
        b.graph.add(scores, BiasAdd(relative_position_index(window), raw_factor, table_factor), raw, table)
        softmax = softmax_of(b.arithmetic, b.scale(scores), shape.softmax_bits)
        masked = AttentionMask(softmax, window_regions(side, window, shift)) if shift else softmax
        return b.graph.add(f"{name}.log_int_softmax", masked, scores), softmax.scale

    def attention(normalised: str) -> str:
        windows, joined = f"{block}.windows", f"{block}.joined"
        b.graph.add(windows, WindowSplit(window, shift), normalised)
        b.alias(windows, normalised)
        attended = b.attention(
            name, windows, shape.heads[stage], shape.head_width(stage), "qact3", "qact4", probabilities
        )
        b.graph.add(joined, WindowMerge(window, shift, side), attended)
        b.alias(joined, attended)
        return joined

    return b.block(block, x, attention)
