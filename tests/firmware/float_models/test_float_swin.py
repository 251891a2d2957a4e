"""The float Swin against attention worked out token by token from coordinates."""

import math

import numpy as np

from firmware.float_models.swin import FloatSwin
from firmware.quantiser.random_model import random_weights
from sim.reference.swin_shape import SwinShape

SHAPE = SwinShape(image=32, patch=4, dim=16, depths=(2, 2), heads=(2, 4), window=4, classes=5)


def test_forward_agrees_with_plain_loops(rng: np.random.Generator):
    weights = random_weights(SHAPE, rng)
    image = rng.normal(size=(1, 3, 32, 32)).astype(np.float32)
    logits = FloatSwin(SHAPE, weights).forward(image)[0]
    w = {name: value.astype(np.float64) for name, value in weights.items()}

    def norm(name, x):
        return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(name, x):
        return w[f"{name}.weight"] @ x + w.get(f"{name}.bias", 0)

    def gelu(x):
        return np.array([value * 0.5 * (1 + math.erf(value / math.sqrt(2))) for value in x])

    def neighbours(side, window, shift, row, column):
        """The tokens that one token sees: of its window on the rolled map, those next to it on the image too."""
        row, column = (row - shift) % side, (column - shift) % side  # on the rolled map
        for other_row in range(side):
            for other_column in range(side):
                i, j = (other_row - shift) % side, (other_column - shift) % side
                apart = (i >= side - shift) != (row >= side - shift) or (j >= side - shift) != (column >= side - shift)
                if (i // window, j // window) == (row // window, column // window) and not (shift and apart):
                    yield (other_row, other_column), (row - i + window - 1) * (2 * window - 1) + column - j + window - 1

    def block(name, x, side, heads, window, shift):
        qkv = {at: linear(f"{name}.attn.qkv", norm(f"{name}.norm1", token)) for at, token in x.items()}
        dim = len(x[0, 0])
        d = dim // heads
        table = w[f"{name}.attn.relative_position_bias_table"]
        found = {}
        for at, token in x.items():
            seen = list(neighbours(side, window, shift, *at))
            mixed = np.zeros(dim)
            for head in range(heads):
                part = slice(head * d, head * d + d)
                e = [
                    math.exp(qkv[at][:dim][part] @ qkv[other][dim : 2 * dim][part] / math.sqrt(d) + table[row, head])
                    for other, row in seen
                ]
                mixed[part] = sum(
                    a / sum(e) * qkv[other][2 * dim :][part] for a, (other, _) in zip(e, seen, strict=True)
                )
            token = token + linear(f"{name}.attn.proj", mixed)
            hidden = gelu(linear(f"{name}.mlp.fc1", norm(f"{name}.norm2", token)))
            found[at] = token + linear(f"{name}.mlp.fc2", hidden)
        return found

    kernel, bias = w["patch_embed.proj.weight"], w["patch_embed.proj.bias"]
    x = {}
    for row in range(8):
        for column in range(8):
            patch = image[0, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            x[row, column] = norm("patch_embed.norm", (kernel * patch).sum(axis=(1, 2, 3)) + bias)
    x = block("layers.0.blocks.0", x, 8, 2, 4, 0)
    x = block("layers.0.blocks.1", x, 8, 2, 4, 2)
    merged = {}
    for row in range(4):
        for column in range(4):
            parts = [x[2 * row + i, 2 * column + j] for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))]
            token = norm("layers.0.downsample.norm", np.concatenate(parts))
            merged[row, column] = linear("layers.0.downsample.reduction", token)
    x = block("layers.1.blocks.0", merged, 4, 4, 4, 0)
    x = block("layers.1.blocks.1", x, 4, 4, 4, 0)  # one window: not rolled
    mean = np.mean([norm("norm", token) for token in x.values()], axis=0)
    np.testing.assert_allclose(logits, linear("head", mean), rtol=1e-4, atol=1e-4)
