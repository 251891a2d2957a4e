"""Models of seeded random weights: for cycles and exactness, not for accuracy."""

from __future__ import annotations

import numpy as np

from firmware.float_models.blocks import FloatArray
from firmware.float_models.registry import float_model
from firmware.quantiser.calibration import Calibration
from firmware.quantiser.post_training import quantise_model
from sim.reference.model_file import IntegerModel
from sim.reference.model_shape import ModelShape
from sim.reference.preprocess import Preprocessing

__all__ = ["random_model", "random_weights"]

EMBEDDING_FAN_IN = 2500  # timm initialises positions with a deviation of 0.02
TABLE_SPREAD = 1.0  # trained tables of relative positions reach several units


def random_weights(shape: ModelShape, rng: np.random.Generator) -> dict[str, FloatArray]:
    """Float weights that keep activations near 1, under the names of `ModelShape.weight_shapes`."""
    weights = {}
    for name, size in shape.weight_shapes().items():
        values = rng.standard_normal(size)
        if name.endswith(".bias"):
            values = 0.02 * values
        elif "norm" in name:
            values = 1 + 0.1 * values
        elif name.endswith("bias_table"):
            values = TABLE_SPREAD * values
        else:
            values = values / (EMBEDDING_FAN_IN if "embed" in name.split(".")[0] else np.prod(size[1:])) ** 0.5
        weights[name] = values.astype(np.float32)
    return weights


def random_model(shape: ModelShape, arithmetic: str, rng: np.random.Generator) -> IntegerModel:
    """Random weights, quantised on one random image."""
    weights = random_weights(shape, rng)
    model, calibration = float_model(shape, weights), Calibration(shape)
    model.forward(rng.standard_normal((1, 3, shape.image, shape.image)).astype(np.float32), calibration.observe)
    tensors = quantise_model(shape, weights, calibration).tensors
    return IntegerModel(shape, arithmetic, Preprocessing.default(shape.image), tensors)
