"""The graph of a Swin Transformer from the tensors of an integer model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.reference.arithmetic import Arithmetic
from sim.reference.builder import GraphBuilder, Tensors
from sim.reference.graph import Graph
from sim.reference.operations import (
    AttentionMask,
    BiasAdd,
    Constant,
    HeadMerge,
    HeadSplit,
    MatMul,
    Patches,
    PatchMerge,
    TokenMean,
    WindowMerge,
    WindowSplit,
)
from sim.reference.rescale import Rescale
from sim.reference.rounding import IntArray
from sim.reference.shiftmax import Shiftmax

__all__ = ["SwinShape", "swin_graph", "window_regions"]


@dataclass(frozen=True)
class SwinShape:
    """Dimensions of a Swin Transformer.

    Parameters
    ----------
    image, patch : side of the square image and of a patch, pixels
    dim : channels of the first stage; each further stage has twice as many
    depths, heads : blocks and attention heads, one a stage
    window : side of a window, tokens
    classes : outputs of the head
    """

    image: int
    patch: int
    dim: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    classes: int

    def __post_init__(self) -> None:
        if not self.depths or len(self.depths) != len(self.heads):
            raise ValueError(f"depths and heads must name the same stages, not {self.depths} and {self.heads}")
        for stage in range(len(self.depths)):
            side = self.side(stage)
            if self.image % (self.patch << stage) or side % self.stage_window(stage):
                raise ValueError(
                    f"stage {stage} has {side} tokens a side, which windows of {self.window} do not divide"
                )

    def side(self, stage: int) -> int:
        """Tokens a side of a stage's map."""
        return self.image // (self.patch << stage)

    def stage_window(self, stage: int) -> int:
        """Side of a stage's windows: one window where the map is no larger."""
        return min(self.window, self.side(stage))

    def shift(self, stage: int, block: int) -> int:
        """Tokens by which a block's windows are rolled: every second one, where there is more than one window."""
        return self.window // 2 if block % 2 and self.side(stage) > self.window else 0


def window_regions(side: int, window: int, shift: int) -> IntArray:
    """(windows, window^2) numbers of the parts of the image that rolling brings into each window."""
    bands = np.zeros(side, np.int64)
    bands[side - window : side - shift] = 1
    bands[side - shift :] = 2
    regions = (bands[:, None] * 3 + bands[None, :]).reshape(1, side * side, 1)
    return WindowSplit(window, 0).apply(regions)[..., 0]


def _attention(b: GraphBuilder, name: str, x: str, heads: int, shape: SwinShape, stage: int, shift: int) -> str:
    dim = shape.dim << stage
    window = shape.stage_window(stage)
    low = np.repeat(np.array([-128, b.arithmetic.packed_min, b.arithmetic.packed_min]), dim)
    qkv = b.linear(f"{name}.qkv", x, f"{name}.qact1", 8, low)
    q, k, v = (b.graph.add(f"{name}.{part}", HeadSplit(i, heads), qkv) for i, part in enumerate("qkv"))
    scale = b.scale(qkv)
    product_scale = np.float32(np.float32(scale * scale) * np.float32((dim // heads) ** -0.5))
    b.graph.add(f"{name}.matmul_1", MatMul(transposed=True), q, k)
    raw, scores = f"{name}.qact_attn1", f"{name}.qact2"
    b.graph.add(raw, Rescale(b.dyadic(product_scale, raw), 8), f"{name}.matmul_1")
    table = b.graph.add(f"{name}.qact_table", Constant(b.integers(f"{name}.table_integer")))
    index = b.integers(f"{name}.relative_position_index")
    b.graph.add(scores, BiasAdd(index, b.dyadic(b.scale(raw), scores), b.dyadic(b.scale(table), scores)), raw, table)
    softmax = Shiftmax.of(b.arithmetic, b.scale(scores), 8)
    probabilities = f"{name}.log_int_softmax"
    regions = window_regions(shape.side(stage), window, shift) if shift else None
    b.graph.add(probabilities, softmax if regions is None else AttentionMask(softmax, regions), scores)
    b.graph.add(f"{name}.matmul_2", MatMul(transposed=False), probabilities, v)
    b.graph.add(f"{name}.merged", HeadMerge(), f"{name}.matmul_2")
    merged_scale = np.float32(softmax.scale * scale)
    b.graph.add(f"{name}.qact3", Rescale(b.dyadic(merged_scale, f"{name}.qact3"), 8), f"{name}.merged")
    return b.linear(f"{name}.proj", f"{name}.qact3", f"{name}.qact4", 16)


def _block(b: GraphBuilder, name: str, x: str, shape: SwinShape, stage: int, block: int) -> str:
    window, shift = shape.stage_window(stage), shape.shift(stage, block)
    normalised = b.normalised(f"{name}.norm1", x, f"{name}.qact1")
    windows = f"{name}.windows"
    b.graph.add(windows, WindowSplit(window, shift), normalised)
    b.alias(windows, normalised)
    attended = _attention(b, f"{name}.attn", windows, shape.heads[stage], shape, stage, shift)
    joined = f"{name}.joined"
    b.graph.add(joined, WindowMerge(window, shift, shape.side(stage)), attended)
    b.alias(joined, attended)
    x = b.residual(joined, x, f"{name}.qact2")
    b.normalised(f"{name}.norm2", x, f"{name}.qact3")
    return b.residual(b.mlp(f"{name}.mlp", f"{name}.qact3"), x, f"{name}.qact4")


def swin_graph(shape: SwinShape, tensors: Tensors, arithmetic: Arithmetic) -> Graph:
    """The graph whose tensors have the authors' module names.

    Parameters
    ----------
    tensors : integers and scales under the authors' names; each block's bias table as `attn.table_integer`
    """
    b = GraphBuilder(tensors, arithmetic)
    b.graph.add("patches", Patches(shape.patch), "qact_input")
    accumulator = b.graph.add("patch_embed.proj", b.weights("patch_embed.proj"), "patches")
    before = "patch_embed.qact_before_norm"
    factor = b.dyadic(b.accumulator_scale("patch_embed.proj", "qact_input"), before)
    b.graph.add(before, Rescale(factor, 8), accumulator)
    b.normalised("patch_embed.norm", before, "patch_embed.qact", 16)
    x = b.graph.add("qact1", Rescale(b.dyadic(b.scale("patch_embed.qact"), "qact1"), 16), "patch_embed.qact")
    for stage, depth in enumerate(shape.depths):
        for block in range(depth):
            x = _block(b, f"layers.{stage}.blocks.{block}", x, shape, stage, block)
        if stage + 1 < len(shape.depths):
            down = f"layers.{stage}.downsample"
            neighbours = b.graph.add(f"{down}.merged", PatchMerge(), x)
            b.normalised(f"{down}.norm", neighbours, f"{down}.qact1")
            x = b.linear(f"{down}.reduction", f"{down}.qact1", f"{down}.qact2", 8)
    b.normalised("norm", x, "qact2")
    b.graph.add("mean", TokenMean(), "qact2")
    b.graph.add("qact3", Rescale(b.dyadic(b.scale("qact2"), "qact3"), 8), "mean")
    b.graph.add("head", b.weights("head"), "qact3")
    return b.graph
