"""The float ViT against plain loops and the error function of the standard library, and on real weights."""

import csv
import math

import numpy as np

from firmware.checkpoints.checkpoint import load_weights
from firmware.float_models.blocks import erf, layer_norm, softmax
from firmware.float_models.registry import float_model
from firmware.float_models.vit import FloatVit
from sim.reference.architecture import parse_architecture
from sim.reference.preprocess import Preprocessing, image_files
from tests.firmware.quantiser import small_vit
from tests.shared_data import shared_data


def test_erf():
    x = np.linspace(-5, 5, 1001, dtype=np.float32)
    assert np.abs(erf(x) - [math.erf(value) for value in x]).max() < 1e-6


def test_softmax_survives_large_scores():
    assert softmax(np.array([[1000, 1000, -1000]], np.float32)).tolist() == [[0.5, 0.5, 0]]


def test_layer_norm(rng: np.random.Generator):
    x = rng.normal(3, 2, (4, 64)).astype(np.float32)
    y = layer_norm(x, np.full(64, 2, np.float32), np.full(64, 1, np.float32), 1e-6)
    np.testing.assert_allclose(y.mean(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(y.std(axis=1), 2, atol=1e-4)


def test_forward_agrees_with_plain_loops(rng: np.random.Generator):
    shape, weights = small_vit.SHAPE, small_vit.weights(rng)
    image = rng.normal(size=(1, 3, 16, 16)).astype(np.float32)
    logits = FloatVit(shape, weights).forward(image)[0]

    w = {name: value.astype(np.float64) for name, value in weights.items()}
    tokens = [w["cls_token"][0, 0]]
    for row in range(2):
        for column in range(2):
            patch = image[0, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            tokens.append((w["patch_embed.proj.weight"] * patch).sum(axis=(1, 2, 3)) + w["patch_embed.proj.bias"])
    tokens = [token + position for token, position in zip(tokens, w["pos_embed"][0], strict=True)]

    def norm(name, x):
        return (x - x.mean()) / math.sqrt(x.var() + 1e-6) * w[f"{name}.weight"] + w[f"{name}.bias"]

    def linear(name, x):
        return w[f"{name}.weight"] @ x + w[f"{name}.bias"]

    for index in range(2):
        block = f"blocks.{index}."
        qkv = [linear(f"{block}attn.qkv", norm(f"{block}norm1", token)) for token in tokens]
        mixed = []
        for i in range(5):
            heads = []
            for head in range(2):
                part = slice(16 * head, 16 * head + 16)
                e = [math.exp(qkv[i][:32][part] @ qkv[j][32:64][part] / 4) for j in range(5)]
                heads.append(sum(e[j] / sum(e) * qkv[j][64:][part] for j in range(5)))
            mixed.append(np.concatenate(heads))
        tokens = [token + linear(f"{block}attn.proj", y) for token, y in zip(tokens, mixed, strict=True)]
        for i, token in enumerate(tokens):
            hidden = linear(f"{block}mlp.fc1", norm(f"{block}norm2", token))
            hidden = np.array([x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in hidden])
            tokens[i] = token + linear(f"{block}mlp.fc2", hidden)
    np.testing.assert_allclose(logits, linear("head", norm("norm", tokens[0])), rtol=1e-4, atol=1e-4)


def test_every_activation_with_a_scale_is_observed_once(rng: np.random.Generator):
    seen: list[str] = []
    images = rng.normal(size=(2, 3, 16, 16)).astype(np.float32)
    FloatVit(small_vit.SHAPE, small_vit.weights(rng)).forward(images, lambda name, _: seen.append(name))
    assert len(seen) == len(set(seen))
    assert {one.name for one in small_vit.SHAPE.activations()} <= set(seen)


def test_real_weights_know_real_photographs():
    path = shared_data("deit_tiny", "deit_tiny_patch16_224.npz")
    shape = parse_architecture("deit_tiny_patch16_224")
    model = float_model(shape, load_weights(path, shape))
    files = image_files(shared_data("images"))[:10]
    with shared_data("images", "labels.csv").open(newline="") as table:
        labels = {row["file"]: int(row["label"]) for row in csv.DictReader(table)}
    found = model.forward(Preprocessing.default(224).load_batch(files)).argmax(axis=1)
    assert sum(int(index) == labels[file.name] for file, index in zip(files, found, strict=True)) >= 7
