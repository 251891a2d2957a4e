"""The float Swin against attention worked out token by token from coordinates."""

import math
from collections.abc import Iterator

import numpy as np

from firmware.float_models.swin import FloatSwin
from firmware.quantiser.random_model import random_weights
from sim.reference.swin_shape import SwinShape

Map = dict[tuple[int, int], np.ndarray]  # (row, column): the token, of `dim` numbers
SHAPE = SwinShape(image=32, patch=4, dim=16, depths=(2, 2), heads=(2, 4), window=4, classes=5)


def gelu(x: np.ndarray) -> np.ndarray:
    return np.array([value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x])


def neighbours(side: int, window: int, shift: int, row: int, column: int) -> Iterator[tuple[tuple[int, int], int]]:
    """The tokens that one token sees, each with its row in the bias table.

    They are of its window on the rolled map, and next to it on the image too.
    """
    row, column = (row - shift) % side, (column - shift) % side  # on the rolled map
    for other_row in range(side):
        for other_column in range(side):
            i, j = (other_row - shift) % side, (other_column - shift) % side
            apart = (i >= side - shift) != (row >= side - shift) or (j >= side - shift) != (column >= side - shift)
            if (i // window, j // window) == (row // window, column // window) and not (shift and apart):
                yield (other_row, other_column), (row - i + window - 1) * (2 * window - 1) + column - j + window - 1


class PlainSwin:
    """The network with a loop over everything, in float64."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.w = {name: value.astype(np.float64) for name, value in weights.items()}

    def norm(self, name: str, x: np.ndarray) -> np.ndarray:
        scaled = (x - x.mean()) / math.sqrt(x.var() + 1e-5)
        return scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return self.w[f"{name}.weight"] @ x + self.w.get(f"{name}.bias", 0)

    def attention(self, name: str, x: Map, side: int, heads: int, window: int, shift: int) -> Map:
        qkv = {at: self.linear(f"{name}.qkv", token) for at, token in x.items()}
        dim = len(qkv[0, 0]) // 3  # of all heads, with the channels that they are filled up with
        d, root = dim // heads, math.sqrt(len(x[0, 0]) // heads)
        table = self.w[f"{name}.relative_position_bias_table"]
        found = {}
        for at in x:
            seen = list(neighbours(side, window, shift, *at))
            mixed = np.zeros(dim)
            for head in range(heads):
                part = slice(head * d, head * d + d)
                e = [
                    math.exp(qkv[at][:dim][part] @ qkv[other][dim : 2 * dim][part] / root + table[row, head])
                    for other, row in seen
                ]
                mixed[part] = sum(
                    a / sum(e) * qkv[other][2 * dim :][part] for a, (other, _) in zip(e, seen, strict=True)
                )
            found[at] = self.linear(f"{name}.proj", mixed)
        return found

    def block(self, name: str, x: Map, side: int, heads: int, window: int, shift: int) -> Map:
        normed = {at: self.norm(f"{name}.norm1", token) for at, token in x.items()}
        attended = self.attention(f"{name}.attn", normed, side, heads, window, shift)
        x = {at: token + attended[at] for at, token in x.items()}
        hidden = {at: gelu(self.linear(f"{name}.mlp.fc1", self.norm(f"{name}.norm2", x[at]))) for at in x}
        return {at: token + self.linear(f"{name}.mlp.fc2", hidden[at]) for at, token in x.items()}

    def embed(self, image: np.ndarray) -> Map:
        kernel, bias = self.w["patch_embed.proj.weight"], self.w["patch_embed.proj.bias"]
        x = {}
        for row in range(8):
            for column in range(8):
                patch = image[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                x[row, column] = self.norm("patch_embed.norm", (kernel * patch).sum(axis=(1, 2, 3)) + bias)
        return x

    def merge(self, x: Map) -> Map:
        merged = {}
        for row in range(4):
            for column in range(4):
                parts = [x[2 * row + i, 2 * column + j] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
                token = self.norm("layers.0.downsample.norm", np.concatenate(parts))
                merged[row, column] = self.linear("layers.0.downsample.reduction", token)
        return merged


def test_forward_agrees_with_plain_loops(rng: np.random.Generator):
    weights = random_weights(SHAPE, rng)
    image = rng.normal(size=(1, 3, 32, 32)).astype(np.float32)
    logits = FloatSwin(SHAPE, weights).forward(image)[0]
    plain = PlainSwin(weights)
    x = plain.embed(image[0])
    x = plain.block("layers.0.blocks.0", x, 8, 2, 4, 0)
    x = plain.block("layers.0.blocks.1", x, 8, 2, 4, 2)
    x = plain.merge(x)
    x = plain.block("layers.1.blocks.0", x, 4, 4, 4, 0)
    x = plain.block("layers.1.blocks.1", x, 4, 4, 4, 0)  # one window: not rolled
    mean = np.mean([plain.norm("norm", token) for token in x.values()], axis=0)
    np.testing.assert_allclose(logits, plain.linear("head", mean), rtol=1e-4, atol=1e-4)
