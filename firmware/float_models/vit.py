"""timm's ViT and DeiT in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware.float_models.blocks import FloatArray, FloatModel, softmax
from sim.reference.vit_shape import VitShape

__all__ = ["FloatVit"]


class FloatVit(FloatModel):
    """timm's ViT and DeiT; the two heads of a distilled DeiT as one, see `firmware.quantiser.timm_names`."""

    epsilon = 1e-6

    def __init__(self, shape: VitShape, weights: Mapping[str, FloatArray]) -> None:
        super().__init__(shape, weights)
        self.shape = shape

    def features(self, images: FloatArray) -> FloatArray:
        weights = self.weights
        x = self.seen("patch_embed.qact", self.patch_embedding(images))
        names = ("cls_token", "dist_token")[: self.shape.tokens_in_front]
        tokens = [np.broadcast_to(weights[name], (len(images), 1, self.shape.dim)) for name in names]
        x = self.seen("qact1", np.concatenate([*tokens, x], axis=1) + self.seen("qact_pos", weights["pos_embed"]))
        for index in range(self.shape.depth):
            x = self._block(f"blocks.{index}", x)
        x = self.seen("qact2", self.norm("norm", x[:, : self.shape.tokens_in_front]))
        return x.reshape(len(x), -1)

    def _block(self, block: str, x: FloatArray) -> FloatArray:
        name = f"{block}.attn"

        def probabilities(scores: FloatArray) -> FloatArray:
            return self.seen(f"{name}.int_softmax", softmax(scores))

        return self.block(
            block, x, lambda y: self.attention(name, y, self.shape.heads, "qact2", "qact3", probabilities)
        )
