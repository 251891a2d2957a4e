"""Biases take up the mean error of a product, and leave alone what is chance."""

from pathlib import Path

import numpy as np
import pytest

from firmware import quantize
from firmware.float_models.registry import float_model
from firmware.quantiser.bias_correction import corrected_biases
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.model_shape import LinearLayer
from sim.reference.preprocess import image_files
from tests.firmware.quantiser import small_vit

PRODUCTS = {"blocks.0.mlp.fc1": "blocks.0.mlp.qact_gelu", "blocks.1.mlp.fc2": "blocks.1.mlp.qact2"}


@pytest.fixture
def both(tmp_path: Path, rng: np.random.Generator) -> tuple[IntegerModel, IntegerModel, np.ndarray, dict]:
    """The model without and with corrected biases, the calibration images, and the float weights."""
    weights = small_vit.weights(rng)
    file = small_vit.write_weights(tmp_path / "w.safetensors", weights)
    folder = small_vit.write_images(tmp_path / "images", rng)
    command = [small_vit.ARCH, "--weights", str(file), "--calibrate", str(folder)]
    assert quantize.main([*command, "-o", str(tmp_path / "plain"), "--no-bias-correction"]) == 0
    assert quantize.main([*command, "-o", str(tmp_path / "corrected")]) == 0
    plain, corrected = load_model(tmp_path / "plain"), load_model(tmp_path / "corrected")
    return plain, corrected, plain.preprocessing.load_batch(image_files(folder)), weights


def mean_error(model: IntegerModel, images: np.ndarray, weights: dict, product: str, shown: str) -> float:
    """How far the mean of a product's channels is from the float model's, root mean square."""
    exact: dict[str, np.ndarray] = {}
    float_model(model.shape, weights).forward(images, exact.__setitem__)
    vit = IntegerVit(model)
    found = vit.run(vit.quantised(images), capture=[product])[product]
    layer = next(layer for layer in model.shape.layers() if isinstance(layer, LinearLayer) and layer.name == product)
    scale = np.asarray(model.tensors[layer.scale], np.float64)
    error = found * scale * float(model.tensors[f"{layer.source}.act_scaling_factor"]) - exact[shown]
    return float(np.sqrt(np.mean(np.square(error.mean(axis=(0, 1))))))


def test_only_biases_change_and_the_mean_error_falls(both):
    plain, corrected, images, weights = both
    changed = {name for name in plain.tensors if not np.array_equal(plain.tensors[name], corrected.tensors[name])}
    assert changed and all(name.endswith(".bias_integer") and "norm" not in name for name in changed)
    for product, shown in PRODUCTS.items():
        before, after = (mean_error(model, images, weights, product, shown) for model in (plain, corrected))
        assert after < 0.6 * before


def test_no_bias_changes_by_more_than_its_product_errs(both, tmp_path: Path):
    # Corrected once, a model has hardly any mean error left to take up.
    plain, corrected, _, weights = both
    steps: list[tuple[int, int]] = []
    again = corrected_biases(
        float_model(plain.shape, weights),
        corrected,
        image_files(tmp_path / "images"),
        lambda done, of: steps.append((done, of)),
    )
    assert steps[-1][0] == steps[-1][1] == len(steps)
    name = "patch_embed.proj.bias_integer"  # the first product: nothing before it changes
    first = np.abs(corrected.tensors[name].astype(int) - plain.tensors[name])
    second = np.abs(again[name].astype(int) - corrected.tensors[name])
    assert second.sum() < 0.5 * first.sum()


def test_one_image_tells_nothing_of_chance(tmp_path: Path, rng: np.random.Generator, capsys):
    file = small_vit.write_weights(tmp_path / "w.safetensors", small_vit.weights(rng))
    folder = small_vit.write_images(tmp_path / "images", rng)
    command = [small_vit.ARCH, "--weights", str(file), "--calibrate", str(folder), "--limit", "1"]
    assert quantize.main([*command, "-o", str(tmp_path / "one")]) == 0
    assert "biases as they are" in capsys.readouterr().out
