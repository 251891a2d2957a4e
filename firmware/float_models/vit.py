"""ViT, DeiT, DINOv2 and the image towers of CLIP and SigLIP in float32."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware.float_models.blocks import FloatArray, FloatModel, softmax
from sim.reference.vit_shape import POOLING, VitShape

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
        if self.shape.pool == "attention":
            return self._pooled(self.seen("qact2", self.norm("norm", x)))
        read = self.seen("qact2", self.norm("norm", x[:, : 1 + self.shape.distilled]))
        return read.reshape(len(read), -1)

    def _embedded(self, images: FloatArray) -> FloatArray:
        x = self.seen("patch_embed.qact", self.patch_embedding(images))
        names = [one.name for one in self.shape.embeddings() if one.target == "patch_embed.qact"]
        tokens = [np.repeat(self.weights[name], len(images), axis=0) for name in names]
        return self.seen(
            "qact1", np.concatenate([*tokens, x], axis=1) + self.seen("qact_pos", self.weights["pos_embed"])
        )

    def _pooled(self, x: FloatArray) -> FloatArray:
        """What the learnt query attends to, which is the Q of every token."""
        x = self._attention(POOLING, x)
        y = self.mlp(f"{POOLING}.mlp", self.seen(f"{POOLING}.qact_norm", self.norm(f"{POOLING}.norm", x)))
        return self.seen("qact3", self.seen(f"{POOLING}.qact4", x + y)[:, self.shape.tokens_in_front :].mean(axis=1))

    def _block(self, block: str, x: FloatArray) -> FloatArray:
        return self.block(block, x, lambda y: self._attention(f"{block}.attn", y))

    def _attention(self, name: str, x: FloatArray) -> FloatArray:
        def probabilities(scores: FloatArray) -> FloatArray:
            return self.seen(f"{name}.int_softmax", softmax(scores))

        shape = self.shape
        return self.attention(name, x, shape.heads, shape.head_width, "qact2", "qact3", probabilities)
