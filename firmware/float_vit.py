"""timm's ViT and DeiT in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware.float_model import FloatArray, FloatModel, softmax
from sim.reference.vit_shape import VitShape

__all__ = ["FloatVit"]


class FloatVit(FloatModel):
    """timm's ViT and DeiT."""

    epsilon = 1e-6

    def __init__(self, shape: VitShape, weights: Mapping[str, FloatArray]) -> None:
        super().__init__(shape, weights)
        self.shape = shape

    def features(self, images: FloatArray) -> FloatArray:
        weights = self.weights
        x = self.seen("patch_embed.qact", self.patch_embedding(images))
        token = np.broadcast_to(weights["cls_token"], (len(images), 1, self.shape.dim))
        x = self.seen("qact1", np.concatenate([token, x], axis=1) + self.seen("qact_pos", weights["pos_embed"]))
        for index in range(self.shape.depth):
            x = self._block(f"blocks.{index}", x)
        return self.seen("qact2", self.norm("norm", x[:, 0]))

    def _block(self, block: str, x: FloatArray) -> FloatArray:
        name = f"{block}.attn"

        def probabilities(scores: FloatArray) -> FloatArray:
            return self.seen(f"{name}.int_softmax", softmax(scores))

        return self.block(
            block, x, lambda y: self.attention(name, y, self.shape.heads, "qact2", "qact3", probabilities)
        )
