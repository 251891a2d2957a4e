"""Models and images that are measured."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from firmware.calibration import Calibration
from firmware.compiler.layers import Attention, Matmul, Plan
from firmware.float_vit import FloatVit
from firmware.post_training import quantise_vit
from sim.reference.architecture import parse_architecture
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model
from sim.reference.preprocess import Preprocessing
from sim.reference.vit_shape import VitShape

__all__ = ["SHIPPED", "Workload", "from_file", "macs", "random_image", "random_model", "shipped", "with_arithmetic"]

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "digits.safetensors"


@dataclass(frozen=True)
class Workload:
    """A model, what it is called in the table, an image, and the arguments that name it on the command line."""

    name: str
    model: IntegerVit
    image: npt.NDArray[np.int8]
    arguments: str


def with_arithmetic(model: IntegerModel, arithmetic: str | None) -> IntegerModel:
    """The same constants for another arithmetic: none of them depends on it."""
    return model if arithmetic is None else dataclasses.replace(model, arithmetic=arithmetic)


def random_image(model: IntegerModel, seed: int) -> npt.NDArray[np.int8]:
    """A seeded random image."""
    side = model.shape.image
    return np.random.default_rng(seed).integers(-128, 128, (3, side, side)).astype(np.int8)


def shipped(arithmetic: str | None, image: Path | None, seed: int) -> Workload:
    """The model that comes with the project."""
    return from_file(SHIPPED, "digits", arithmetic, image, seed, "digits")


def from_file(path: Path, name: str, arithmetic: str | None, image: Path | None, seed: int, arguments: str) -> Workload:
    """A model file, on an image file or a seeded random image."""
    model = with_arithmetic(load_model(path), arithmetic)
    runner = IntegerVit(model)
    if image is None:
        return Workload(name, runner, random_image(model, seed), arguments)
    pixels = model.preprocessing.load(image)[None]
    return Workload(name, runner, runner.quantised(pixels)[0].astype(np.int8), arguments)


def random_model(architecture: str, arithmetic: str, seed: int) -> IntegerModel:
    """A model of seeded random weights, quantised on one random image: for cycles and exactness, not for accuracy."""
    shape = parse_architecture(architecture)
    if not isinstance(shape, VitShape):
        raise UserError(f"{architecture} is no ViT or DeiT.")
    rng = np.random.default_rng(seed)
    weights = {}
    for name, size in shape.weight_shapes().items():
        if name.endswith("bias"):
            weights[name] = (0.02 * rng.standard_normal(size)).astype(np.float32)
        elif "norm" in name:
            weights[name] = (1 + 0.1 * rng.standard_normal(size)).astype(np.float32)
        else:
            fan_in = int(np.prod(size[1:])) if len(size) > 1 and "embed" not in name.split(".")[0] else 2500
            weights[name] = (rng.standard_normal(size) / fan_in**0.5).astype(np.float32)
    model, calibration = FloatVit(shape, weights), Calibration()
    model.forward(rng.standard_normal((1, 3, shape.image, shape.image)).astype(np.float32), calibration.observe)
    tensors = quantise_vit(model, calibration).tensors
    return IntegerModel(shape, arithmetic, Preprocessing.default(shape.image), tensors)


def macs(plan: Plan) -> int:
    """Multiply-accumulates of a frame: those that the model asks for, padding and unused rows left out."""
    total = 0
    for layer in plan.layers:
        if isinstance(layer, Matmul):
            rows = 1 if layer.only_token is not None else plan.tokens - (layer.token is not None)
            total += rows * layer.weight.size
        else:
            assert isinstance(layer, Attention)
            source = next(one for one in plan.layers if isinstance(one, Matmul) and one.name == layer.source)
            total += 2 * plan.tokens * plan.tokens * (len(source.weight) // 3)
    return total
