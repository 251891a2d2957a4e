"""ViT, DeiT, DINOv2 and CLIP's image tower in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware.float_models.blocks import FloatArray, FloatModel, softmax
from sim.reference.vit_shape import VitShape

__all__ = ["FloatVit"]


class FloatVit(FloatModel):
    """timm's ViT in any of its variations; its weights as `firmware.checkpoints` makes them of a checkpoint's."""

    def __init__(self, shape: VitShape, weights: Mapping[str, FloatArray]) -> None:
        super().__init__(shape, weights)
        self.shape = shape

    def features(self, images: FloatArray) -> FloatArray:
        x = self._embedded(images)
        if self.shape.pre_norm:
            x = self.seen("qact_pre", self.seen("norm_pre.qact", self.norm("norm_pre", x)))
        for block in self.shape.block_names():
            x = self._block(block, x)
        front = self.shape.tokens_in_front
        if self.shape.pool == "mean_norm":
            return self.seen("qact2", self.norm("norm", self.seen("qact_pool", x[:, front:].mean(axis=1))))
        if self.shape.pool == "mean":
            return self.seen("qact3", self.seen("qact2", self.norm("norm", x))[:, front:].mean(axis=1))
        read = self.seen("qact2", self.norm("norm", x[:, : 1 + self.shape.distilled]))
        return read.reshape(len(read), -1)

    def _embedded(self, images: FloatArray) -> FloatArray:
        x = self.seen("patch_embed.qact", self.patch_embedding(images))
        names = [one.name for one in self.shape.embeddings() if one.target == "patch_embed.qact"]
        tokens = [np.repeat(self.weights[name], len(images), axis=0) for name in names]
        return self.seen(
            "qact1", np.concatenate([*tokens, x], axis=1) + self.seen("qact_pos", self.weights["pos_embed"])
        )

    def _block(self, block: str, x: FloatArray) -> FloatArray:
        name, shape = f"{block}.attn", self.shape

        def probabilities(scores: FloatArray) -> FloatArray:
            return self.seen(f"{name}.int_softmax", softmax(scores))

        def attention(y: FloatArray) -> FloatArray:
            return self.attention(name, y, shape.heads, shape.head_width, "qact2", "qact3", probabilities)

        return self.block(block, x, attention)
