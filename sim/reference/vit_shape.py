"""Dimensions of a ViT or DeiT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sim.reference.errors import UserError
from sim.reference.model_shape import (
    Activation,
    Embedding,
    Feeds,
    LinearLayer,
    ModelShape,
    NormLayer,
    block_activations,
    block_layers,
    check_dimensions,
    check_divides,
    patch_embedding,
)

__all__ = ["VitShape"]

ATTENTION = (
    Activation("qact1", 8),
    Activation("qact_attn1", 8, Feeds.SHIFTMAX),
    Activation("qact2", 8),
    Activation("qact3", 16),
)


@dataclass(frozen=True)
class VitShape(ModelShape):
    """Dimensions of a ViT or DeiT with a class token.

    Parameters
    ----------
    image, patch : side of the square image and of a patch, pixels
    dim, depth, heads : channels, blocks, attention heads
    classes : outputs of the head
    distilled : 1 with DeiT's distillation token behind the class token. The head then reads both tokens side by side
    """

    softmax_bits: ClassVar[int] = 16

    image: int
    patch: int
    dim: int
    depth: int
    heads: int
    classes: int
    distilled: int = 0

    def __post_init__(self) -> None:
        for name in ("image", "patch", "dim", "depth", "heads", "classes"):
            check_dimensions(**{name: getattr(self, name)})
        if self.distilled not in (0, 1):
            raise UserError(f"distilled must be 0 or 1, not {self.distilled}.")
        check_divides("image", self.image, "patch", self.patch)
        check_divides("dim", self.dim, "heads", self.heads)

    @property
    def tokens(self) -> int:
        """Tokens of a frame, those in front of the patches included."""
        return (self.image // self.patch) ** 2 + self.tokens_in_front

    @property
    def score_length(self) -> int:
        return self.tokens

    @property
    def tokens_in_front(self) -> int:
        """Learnt tokens: class and perhaps distillation."""
        return 1 + self.distilled

    def block_names(self) -> list[str]:
        return [f"blocks.{index}" for index in range(self.depth)]

    def attention_macs(self) -> int:
        return self.depth * 2 * self.tokens**2 * self.dim

    def parameters(self) -> int:
        # A distilled model's two classifiers are one here, but for the second bias.
        return super().parameters() + self.distilled * self.classes

    def layers(self) -> list[LinearLayer | NormLayer]:
        layers: list[LinearLayer | NormLayer] = [patch_embedding(self.image, self.patch, self.dim)]
        for block in self.block_names():
            layers += block_layers(block, self.dim, self.tokens, "qact2")
        head = LinearLayer("head", "qact2", (self.classes, self.tokens_in_front * self.dim), rows=1)
        return [*layers, NormLayer("norm", self.dim), head]

    def activations(self) -> list[Activation]:
        names = [Activation("qact_input", 8)]
        names += [Activation(name, 16) for name in ("patch_embed.qact", "qact_pos", "qact1")]
        for block in self.block_names():
            names += block_activations(block, ATTENTION)
        return [*names, Activation("qact2", 8)]

    def embeddings(self) -> list[Embedding]:
        names = ("cls_token", "dist_token")[: self.tokens_in_front]
        return [
            *(Embedding(name, (1, 1, self.dim), "patch_embed.qact", 32) for name in names),
            Embedding("pos_embed", (1, self.tokens, self.dim), "qact_pos", 16),
        ]
