"""Dimensions of a ViT or DeiT."""

from __future__ import annotations

from dataclasses import dataclass

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
    """

    image: int
    patch: int
    dim: int
    depth: int
    heads: int
    classes: int

    def __post_init__(self) -> None:
        check_dimensions(**vars(self))
        check_divides("image", self.image, "patch", self.patch)
        check_divides("dim", self.dim, "heads", self.heads)

    @property
    def tokens(self) -> int:
        """Tokens of a frame, the class token included."""
        return (self.image // self.patch) ** 2 + 1

    def block_names(self) -> list[str]:
        return [f"blocks.{index}" for index in range(self.depth)]

    def layers(self) -> list[LinearLayer | NormLayer]:
        layers: list[LinearLayer | NormLayer] = [patch_embedding(self.patch, self.dim)]
        for block in self.block_names():
            layers += block_layers(block, self.dim, "qact2")
        return [*layers, NormLayer("norm", self.dim), LinearLayer("head", "qact2", (self.classes, self.dim))]

    def activations(self) -> list[Activation]:
        names = [Activation("qact_input", 8)]
        names += [Activation(name, 16) for name in ("patch_embed.qact", "qact_pos", "qact1")]
        for block in self.block_names():
            names += block_activations(block, ATTENTION)
        return [*names, Activation("qact2", 8)]

    def embeddings(self) -> list[Embedding]:
        return [
            Embedding("cls_token", (1, 1, self.dim), "patch_embed.qact", 32),
            Embedding("pos_embed", (1, self.tokens, self.dim), "qact_pos", 16),
        ]
