"""Dimensions of a ViT, in any of its variations."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from sim.reference.errors import UserError
from sim.reference.model_shape import (
    MLP_RATIO,
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
    check_float_model,
    padded_width,
    patch_embedding,
)
from sim.reference.outputs import Output, check_gives, outputs_of

__all__ = ["POOLING", "POOLS", "VitShape"]

ATTENTION = (
    Activation("qact1", 8),
    Activation("qact_attn1", 8, Feeds.SHIFTMAX),
    Activation("qact2", 8),
    Activation("qact3", 16),
)
POOLS = ("token", "mean", "mean_norm", "attention")
"""What the head reads: the class token, the mean of the patches behind the last LayerNorm, or that mean before it; or
what a learnt query attends to, behind an MLP of its own (SigLIP).
"""
POOLING = "attn_pool"
"""The layers of the last of these. Q is a constant there: its weights are 0, its bias is the query."""


@dataclass(frozen=True)
class VitShape(ModelShape):
    """Dimensions of a ViT, DeiT, DINOv2, or of CLIP's or SigLIP's image tower.

    Parameters
    ----------
    image, patch : side of the square image and of a patch, pixels
    dim, depth, heads : channels, blocks, attention heads
    classes : outputs of the head
    distilled : 1 with DeiT's distillation token behind the class token. The head then reads both tokens side by side
    class_token : 0 where there is none
    registers : further learnt tokens behind these, which no head reads
    hidden : channels inside an MLP; 0 means 4 dim
    pre_norm : 1 with a LayerNorm in front of the first block
    pool : one of POOLS
    activation : one of ACTIVATIONS
    epsilon : of the float model's LayerNorms
    gives : one of GIVES: what the head gives
    """

    softmax_bits: ClassVar[int] = 16

    image: int
    patch: int
    dim: int
    depth: int
    heads: int
    classes: int
    distilled: int = 0
    class_token: int = 1
    registers: int = 0
    hidden: int = 0
    pre_norm: int = 0
    pool: str = "token"
    activation: str = "gelu"
    epsilon: float = 1e-6
    gives: str = "classes"

    def __post_init__(self) -> None:
        for name in ("image", "patch", "dim", "depth", "heads", "classes"):
            check_dimensions(**{name: getattr(self, name)})
        for name in ("distilled", "class_token", "pre_norm"):
            if getattr(self, name) not in (0, 1):
                raise UserError(f"{name} must be 0 or 1, not {getattr(self, name)}.")
        for name in ("registers", "hidden"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} must be at least 0, not {getattr(self, name)}.")
        if self.pool not in POOLS:
            raise UserError(f"pool must be one of {', '.join(POOLS)}, not {self.pool!r}.")
        check_float_model(self.activation, self.epsilon)
        check_gives(self.gives)
        if self.pool == "token" and not self.class_token:
            raise UserError("A model without class token must have pool=mean or pool=mean_norm.")
        if self.distilled and (self.pool != "token" or self.registers):
            raise UserError("A model with a distillation token must have pool=token and no registers.")
        check_divides("image", self.image, "patch", self.patch)
        check_divides("dim", self.dim, "heads", self.heads)

    @property
    def patches(self) -> int:
        """Tokens that are patches."""
        return (self.image // self.patch) ** 2

    @property
    def tokens(self) -> int:
        """Tokens of a frame, those in front of the patches included."""
        return self.patches + self.tokens_in_front

    @property
    def score_length(self) -> int:
        return self.tokens

    @property
    def tokens_in_front(self) -> int:
        """Learnt tokens: class, distillation, registers."""
        return self.class_token + self.distilled + self.registers

    @property
    def head_width(self) -> int:
        """Channels of an attention head in the float model."""
        return self.dim // self.heads

    @property
    def padded_width(self) -> int:
        """Channels of an attention head here: as many, or more, of which the last are zero."""
        return padded_width(self.head_width)

    def block_names(self) -> list[str]:
        return [f"blocks.{index}" for index in range(self.depth)]

    def attention_macs(self) -> int:
        pooling = 2 * self.tokens * self.dim if self.pool == "attention" else 0
        return self.depth * 2 * self.tokens**2 * self.dim + pooling

    def macs(self) -> int:
        found = super().macs() - self.tokens * self._padding_weights
        if self.pool == "attention":
            # Of everything but K and V the model asks for a single row.
            pooling = sum(math.prod(layer.weight) for layer in self.linears() if layer.name.startswith(POOLING))
            once = pooling - 2 * self.dim * (self.dim + self._padding)
            found -= (self.tokens - 1) * (once - 2 * self.dim * self._padding)
        return found

    def parameters(self) -> int:
        # A distilled model's two classifiers are one here, but for the second bias.
        pooled = self.pool == "attention"
        biases = 3 * (self.depth + pooled) * self._padding
        query = self.dim if pooled else 0
        return super().parameters() + self.distilled * self.classes + query - self._padding_weights - biases

    @property
    def _padding_weights(self) -> int:
        """Weights of the channels that heads have beyond the float model's."""
        pooled = self.pool == "attention"
        return (self.depth + pooled) * 4 * self.dim * self._padding

    @property
    def _padding(self) -> int:
        """Channels that all heads have beyond the float model's."""
        return (self.padded_width - self.head_width) * self.heads

    def layers(self) -> list[LinearLayer | NormLayer]:
        layers: list[LinearLayer | NormLayer] = [patch_embedding(self.image, self.patch, self.dim)]
        if self.pre_norm:
            layers.append(NormLayer("norm_pre", self.dim))
        hidden, attended = self.hidden or MLP_RATIO * self.dim, self.heads * self.padded_width
        for block in self.block_names():
            layers += block_layers(block, self.dim, self.tokens, "qact2", hidden, attended)
        source = "qact3" if self.pool in ("mean", "attention") else "qact2"
        head = LinearLayer("head", source, (self.classes, (1 + self.distilled) * self.dim), rows=1)
        return [*layers, NormLayer("norm", self.dim), *self._pooling_layers(hidden, attended), head]

    def _pooling_layers(self, hidden: int, attended: int) -> list[LinearLayer | NormLayer]:
        if self.pool != "attention":
            return []
        return [
            LinearLayer(f"{POOLING}.qkv", "qact2", (3 * attended, self.dim), self.tokens),
            LinearLayer(f"{POOLING}.proj", f"{POOLING}.qact2", (self.dim, attended), self.tokens),
            NormLayer(f"{POOLING}.norm", self.dim),
            LinearLayer(f"{POOLING}.mlp.fc1", f"{POOLING}.qact_norm", (hidden, self.dim), self.tokens),
            LinearLayer(f"{POOLING}.mlp.fc2", f"{POOLING}.mlp.qact1", (self.dim, hidden), self.tokens),
        ]

    def activations(self) -> list[Activation]:
        names = [Activation("qact_input", 8)]
        names += [Activation(name, 16) for name in ("patch_embed.qact", "qact_pos", "qact1")]
        if self.pre_norm:
            names += [Activation("norm_pre.qact", 16), Activation("qact_pre", 16)]
        blocks = self.block_names()
        for block in blocks:
            # A mean over tokens is one of 8-bit values.
            averaged = block == blocks[-1] and self.pool == "mean_norm"
            names += block_activations(block, ATTENTION, 8 if averaged else 16)
        if self.pool == "mean_norm":
            names.append(Activation("qact_pool", 8))
        names.append(Activation("qact2", 8))
        if self.pool == "attention":
            names += [Activation(f"{POOLING}.{one.name}", one.bits, one.feeds) for one in ATTENTION]
            names += [
                Activation(f"{POOLING}.qact_norm", 8),
                Activation(f"{POOLING}.mlp.qact_gelu", 8, Feeds.SHIFTGELU),
                Activation(f"{POOLING}.mlp.qact1", 8),
                Activation(f"{POOLING}.mlp.qact2", 8),
                Activation(f"{POOLING}.qact4", 8),
            ]
        return [*names, Activation("qact3", 8)] if self.pool in ("mean", "attention") else names

    def outputs(self) -> dict[str, Output]:
        pooled = "qact3" if self.pool in ("mean", "attention") else "qact2"
        mean, tokens = Output(pooled, pooled), Output("qact2", "qact2")
        if self.pool == "attention":
            mean = Output("qact2_mean", "qact2")
        elif self.pool == "token":
            mean, tokens = Output("qact2_mean", "qact2"), Output("qact2_tokens", "qact2")
        elif self.pool == "mean_norm":
            last = f"{self.block_names()[-1]}.qact4"
            tokens = Output(last, last)
        return outputs_of(self.gives, pooled, mean, tokens)

    def embeddings(self) -> list[Embedding]:
        tokens = (("cls_token", self.class_token), ("dist_token", self.distilled), ("reg_token", self.registers))
        return [
            *(Embedding(name, (1, count, self.dim), "patch_embed.qact", 32) for name, count in tokens if count),
            Embedding("pos_embed", (1, self.tokens, self.dim), "qact_pos", 16),
        ]
