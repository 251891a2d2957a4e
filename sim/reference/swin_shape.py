"""Dimensions of a Swin Transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sim.reference.addressing import masked_pairs, relative_position_index, window_regions
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
    check_float_model,
    padded_width,
    patch_embedding,
)
from sim.reference.outputs import Output, check_gives, outputs_of

__all__ = ["SwinShape"]

ATTENTION = (
    Activation("qact1", 8),
    Activation("qact_attn1", 8),
    Activation("qact_table", 8),
    Activation("qact2", 8, Feeds.SHIFTMAX),
    Activation("qact3", 8),
    Activation("qact4", 16),
)


@dataclass(frozen=True)
class SwinShape(ModelShape):
    """Dimensions of a Swin Transformer.

    Parameters
    ----------
    image, patch : side of the square image and of a patch, pixels
    dim : channels of the first stage; each further stage has twice as many
    depths, heads : blocks and attention heads, one a stage
    window : side of a window, tokens
    classes : outputs of the head
    activation : one of ACTIVATIONS
    epsilon : of the float model's LayerNorms
    gives : one of GIVES: what the head gives
    """

    softmax_bits: ClassVar[int] = 8

    image: int
    patch: int
    dim: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    classes: int
    activation: str = "gelu"
    epsilon: float = 1e-5
    gives: str = "classes"

    def __post_init__(self) -> None:
        for name in ("image", "patch", "dim", "window", "classes"):
            check_dimensions(**{name: getattr(self, name)})
        check_float_model(self.activation, self.epsilon)
        check_gives(self.gives)
        if not self.depths or len(self.depths) != len(self.heads):
            raise UserError(f"depths and heads must name the same stages, not {self.depths} and {self.heads}.")
        for stage, (depth, heads) in enumerate(zip(self.depths, self.heads, strict=True)):
            check_dimensions(depths=depth, heads=heads)
            check_divides("image", self.image, f"stage {stage}'s patch side", self.patch << stage)
            check_divides(f"dim of stage {stage}", self.width(stage), "heads", heads)
            if self.side(stage) % self.stage_window(stage):
                raise UserError(
                    f"Stage {stage} has {self.side(stage)} tokens a side, which windows of {self.window} do not divide."
                )

    @property
    def stages(self) -> range:
        """Numbers of the stages."""
        return range(len(self.depths))

    @property
    def score_length(self) -> int:
        return max(self.stage_window(stage) ** 2 for stage in self.stages)

    def side(self, stage: int) -> int:
        """Tokens a side of a stage's map."""
        return self.image // (self.patch << stage)

    def width(self, stage: int) -> int:
        """Channels of a stage."""
        return self.dim << stage

    def head_width(self, stage: int) -> int:
        """Channels of a stage's attention heads in the float model."""
        return self.width(stage) // self.heads[stage]

    def padded_width(self, stage: int) -> int:
        """The same here: as many, or more, of which the last are zero."""
        return padded_width(self.head_width(stage))

    def stage_window(self, stage: int) -> int:
        """Side of a stage's windows: one window where the map is no larger."""
        return min(self.window, self.side(stage))

    def shift(self, stage: int, block: int) -> int:
        """Tokens by which a block's windows are rolled: every second one, where there is more than one window."""
        return self.window // 2 if block % 2 and self.side(stage) > self.window else 0

    def blocks(self, stage: int) -> list[str]:
        """Names of a stage's blocks."""
        return [f"layers.{stage}.blocks.{block}" for block in range(self.depths[stage])]

    def block_names(self) -> list[str]:
        return [block for stage in self.stages for block in self.blocks(stage)]

    def downsample(self, stage: int) -> str | None:
        """Name of the patch merging behind a stage; none behind the last."""
        return f"layers.{stage}.downsample" if stage + 1 < len(self.depths) else None

    def attention_macs(self) -> int:
        return sum(
            self.depths[stage] * 2 * (self.side(stage) * self.stage_window(stage)) ** 2 * self.width(stage)
            for stage in self.stages
        )

    def macs(self) -> int:
        return super().macs() - sum(self.side(stage) ** 2 * self._padding_weights(stage) for stage in self.stages)

    def parameters(self) -> int:
        biases = sum(3 * self.depths[stage] * self._padding(stage) for stage in self.stages)
        return super().parameters() - biases - sum(map(self._padding_weights, self.stages))

    def _padding(self, stage: int) -> int:
        """Channels that all heads of a stage have beyond the float model's."""
        return self.heads[stage] * self.padded_width(stage) - self.width(stage)

    def _padding_weights(self, stage: int) -> int:
        """Weights of these, in all of the stage's blocks."""
        return self.depths[stage] * 4 * self.width(stage) * self._padding(stage)

    def layers(self) -> list[LinearLayer | NormLayer]:
        layers: list[LinearLayer | NormLayer] = [patch_embedding(self.image, self.patch, self.dim)]
        layers.append(NormLayer("patch_embed.norm", self.dim))
        for stage in self.stages:
            width, attended = self.width(stage), self.heads[stage] * self.padded_width(stage)
            for block in self.blocks(stage):
                layers += block_layers(block, width, self.side(stage) ** 2, "qact3", attended=attended)
            if down := self.downsample(stage):
                layers.append(NormLayer(f"{down}.norm", 4 * width))
                rows = self.side(stage + 1) ** 2
                layers.append(
                    LinearLayer(f"{down}.reduction", f"{down}.qact1", (2 * width, 4 * width), rows, bias=False)
                )
        width = self.width(self.stages[-1])
        return [*layers, NormLayer("norm", width), LinearLayer("head", "qact3", (self.classes, width), rows=1)]

    def activations(self) -> list[Activation]:
        names = [Activation("qact_input", 8), Activation("patch_embed.qact_before_norm", 8)]
        names += [Activation("patch_embed.qact", 16), Activation("qact1", 16)]
        for stage in self.stages:
            for block in self.blocks(stage):
                names += block_activations(block, ATTENTION)
            if down := self.downsample(stage):
                names += [Activation(f"{down}.qact1", 8), Activation(f"{down}.qact2", 8)]
        return [*names, Activation("qact2", 8), Activation("qact3", 8)]

    def outputs(self) -> dict[str, Output]:
        mean = Output("qact3", "qact3")
        return outputs_of(self.gives, "qact3", mean, Output("qact2", "qact2"))

    def embeddings(self) -> list[Embedding]:
        return [
            Embedding(
                f"{block}.attn.relative_position_bias_table",
                ((2 * self.stage_window(stage) - 1) ** 2, self.heads[stage]),
                f"{block}.attn.qact_table",
                8,
            )
            for stage in self.stages
            for block in self.blocks(stage)
        ]

    def buffers(self) -> dict[str, npt.NDArray[np.generic]]:
        found: dict[str, npt.NDArray[np.generic]] = {}
        for stage in self.stages:
            window = self.stage_window(stage)
            for index, block in enumerate(self.blocks(stage)):
                found[f"{block}.attn.relative_position_index"] = relative_position_index(window)
                if shift := self.shift(stage, index):
                    masked = masked_pairs(window_regions(self.side(stage), window, shift))
                    found[f"{block}.attn_mask"] = np.where(masked, np.float32(-100), np.float32(0))
        return found
