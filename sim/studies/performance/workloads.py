"""Models and images that are measured."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel, load_model

__all__ = ["MEMORY", "RANDOM", "SHIPPED", "Workload", "from_file", "random_image", "shipped", "with_arithmetic"]

RANDOM = "random:"
"""Before an architecture: a model of random weights."""
MEMORY = "arty_a7"
"""What a board has that has no profile of its own."""
SHIPPED = Path(__file__).resolve().parents[3] / "models" / "digits.safetensors"


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
