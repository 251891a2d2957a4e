"""Biases that give back what rounding the weights takes from the mean of a layer's outputs."""

import numpy as np
import pytest

from firmware.float_models.registry import float_model
from firmware.quantiser.bias_correction import BiasCorrection
from firmware.quantiser.calibration import Calibration
from firmware.quantiser.post_training import quantise_model
from sim.reference import scales
from sim.reference.addressing import patches
from sim.reference.architecture import parse_architecture
from tests.firmware.quantiser import small_vit

SWIN = "swin:image=32,patch=4,dim=16,depths=1-1,heads=1-2,window=4,classes=5"


@pytest.mark.parametrize("arch", [small_vit.ARCH, SWIN], ids=["vit", "swin"])
def test_the_mean_of_every_layers_output_is_kept(arch: str, rng: np.random.Generator):
    shape = parse_architecture(arch)
    weights = {name: rng.normal(0, 0.3, size).astype(np.float32) for name, size in shape.weight_shapes().items()}
    model, correction = float_model(shape, weights), BiasCorrection(shape)
    images = rng.normal(0.5, 1, (3, 3, shape.image, shape.image)).astype(np.float32)
    seen: dict[str, list[np.ndarray]] = {}

    def observe(name: str, x: np.ndarray) -> None:
        correction.observe(name, x)
        seen.setdefault(name, []).append(x)

    model.forward(images[:2], observe)
    model.forward(images[2:], observe)
    largest = 0.0
    for layer in shape.linears():
        x = np.concatenate(seen[layer.source])
        x = patches(x, shape.patch) if layer.source == "qact_input" else x
        x = x.reshape(-1, int(np.prod(layer.weight[1:]))).astype(np.float64)
        np.testing.assert_allclose(correction.mean_input(layer), x.mean(axis=0), atol=1e-6)
        weight = weights[f"{layer.name}.weight"]
        scale = scales.channel_scales(weight)
        integers = scales.quantise_weight(weight, scale)
        rounded = integers.reshape(len(weight), -1) * scale[:, None]
        off = (x @ (weight.reshape(len(weight), -1) - rounded).T).mean(axis=0)
        largest = max(largest, float(np.abs(off).max()))
        np.testing.assert_allclose(correction.offset(layer, weight, integers, scale), off, atol=1e-5)
    assert largest > 1e-3


def test_only_biases_change(rng: np.random.Generator):
    shape, weights = small_vit.SHAPE, small_vit.weights(rng)
    images = rng.normal(0, 1, (4, 3, shape.image, shape.image)).astype(np.float32)
    calibration, correction = Calibration(shape), BiasCorrection(shape)
    model = float_model(shape, weights)
    model.forward(images, calibration.observe)
    model.forward(images, correction.observe)
    plain = quantise_model(shape, weights, calibration).tensors
    corrected = quantise_model(shape, weights, calibration, correction=correction).tensors
    assert plain.keys() == corrected.keys()
    changed = {name for name in plain if not np.array_equal(plain[name], corrected[name])}
    assert changed and changed <= {f"{layer.name}.bias_integer" for layer in shape.linears()}
