"""timm's Swin Transformer in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware.float_models.blocks import FloatArray, FloatModel, softmax
from sim.reference.addressing import (
    join_windows,
    masked_pairs,
    merge_patches,
    relative_position_index,
    split_windows,
    window_regions,
)
from sim.reference.swin_shape import SwinShape

__all__ = ["FloatSwin"]

MASKED = np.float32(-100)
"""What is added to the score of two tokens from different parts of the image."""


class FloatSwin(FloatModel):
    """timm's Swin Transformer; its weights under the names of the older releases, which are the authors'."""

    def __init__(self, shape: SwinShape, weights: Mapping[str, FloatArray]) -> None:
        super().__init__(shape, weights)
        self.shape = shape

    def features(self, images: FloatArray) -> FloatArray:
        shape, seen = self.shape, self.seen
        x = seen("patch_embed.qact_before_norm", self.patch_embedding(images))
        x = seen("qact1", seen("patch_embed.qact", self.norm("patch_embed.norm", x)))
        for stage in shape.stages:
            for index, block in enumerate(shape.blocks(stage)):
                x = self._block(block, x, stage, shape.shift(stage, index))
            if down := shape.downsample(stage):
                x = seen(f"{down}.qact1", self.norm(f"{down}.norm", merge_patches(x)))
                x = seen(f"{down}.qact2", self.linear(f"{down}.reduction", x))
        x = seen("qact2", self.norm("norm", x))
        return seen("qact3", x.mean(axis=1))

    def _block(self, block: str, x: FloatArray, stage: int, shift: int) -> FloatArray:
        shape, name = self.shape, f"{block}.attn"
        window, side = shape.stage_window(stage), shape.side(stage)

        def probabilities(scores: FloatArray) -> FloatArray:
            table = self.seen(f"{name}.qact_table", self.weights[f"{name}.relative_position_bias_table"])
            scores = scores + table[relative_position_index(window)].transpose(2, 0, 1)
            self.seen(f"{name}.qact2", scores)
            if shift:
                masked = masked_pairs(window_regions(side, window, shift))[:, None]
                scores = np.where(np.tile(masked, (len(scores) // len(masked), 1, 1, 1)), scores + MASKED, scores)
            return self.seen(f"{name}.log_int_softmax", softmax(scores))

        def attention(normalised: FloatArray) -> FloatArray:
            windows = split_windows(normalised, window, shift)
            branch = self.attention(
                name, windows, shape.heads[stage], shape.head_width(stage), "qact3", "qact4", probabilities
            )
            return join_windows(branch, window, shift, side)

        return self.block(block, x, attention)
