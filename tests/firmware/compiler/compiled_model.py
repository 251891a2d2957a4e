"""Random small models, and their programs run instruction by instruction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import numpy.typing as npt

from firmware.compiler import compiler
from firmware.compiler.compiled import Compiled
from firmware.compiler.compiler import compile_graph
from firmware.compiler.fuse.layers import Mean
from firmware.compiler.place.memory import Memory
from firmware.float_models.vit import FloatVit
from firmware.program.allocation import tensors_of
from firmware.program.layout import pack_matrix
from firmware.quantiser.calibration import Calibration
from firmware.quantiser.post_training import quantise_model
from gateware.config import BEAT_BYTES, AcceleratorConfig
from sim.interpreter.machine import Interpreter
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel
from sim.reference.preprocess import Preprocessing
from sim.reference.rounding import IntArray
from sim.reference.vit_shape import VitShape

SPARE = 16  # beats behind what a program says it takes
STORED_A_BLOCK = 5  # tensors: Q, K and V, attention's, both residuals, the hidden layer
STORED_BESIDE = 2  # the embedding, the logits; of a distilled model also the two tokens that the logits are of
STORED_OF_A_POOL = {"token": 0, "mean": 2, "mean_norm": 1, "attention": 6}


def random_model(shape: VitShape, arithmetic: str, rng: np.random.Generator) -> IntegerVit:
    """Random weights, calibrated on two random images."""
    weights = {}
    for name, dimensions in shape.weight_shapes().items():
        spread = 0.2 if len(dimensions) == 1 else 1.5 / np.sqrt(np.prod(dimensions[1:]))
        values = rng.normal(0, spread, dimensions)
        if "norm" in name and name.endswith("weight"):
            values += 1
        weights[name] = values.astype(np.float32)
    model, calibration = FloatVit(shape, weights), Calibration(shape)
    model.forward(rng.normal(0, 1, (2, 3, shape.image, shape.image)).astype(np.float32), calibration.observe)
    tensors = quantise_model(shape, weights, calibration).tensors
    return IntegerVit(IntegerModel(shape, arithmetic, Preprocessing.default(shape.image), tensors, ()))


def random_image(model: IntegerVit, rng: np.random.Generator) -> IntArray:
    side = model.model.shape.image
    return rng.integers(-128, 128, (1, 3, side, side))


def compiled_for(model: IntegerVit, machine: AcceleratorConfig) -> Compiled:
    return compile_graph(model.graph, machine, model.model.shape.image)


@contextmanager
def too_short(beats: int) -> Iterator[None]:
    """A memory that lacks one of so many beats, for whatever is compiled meanwhile; no machine has as little."""

    class Short(Memory):
        def __init__(self, address_bits: int) -> None:
            super().__init__(address_bits)
            self.limit = beats - 1

    with mock.patch.object(compiler, "Memory", Short):
        yield


def memory_with(compiled: Compiled, model: IntegerVit, image: IntArray) -> npt.NDArray[np.uint8]:
    """Memory before a program starts. What nobody has written is noise."""
    memory = np.random.default_rng(1).integers(0, 256, (compiled.beats + SPARE) * BEAT_BYTES, np.uint8)
    for base, octets in compiled.initial:
        memory[base * BEAT_BYTES : base * BEAT_BYTES + len(octets)] = octets
    rows = model.run(image, capture=("patches",))["patches"][0]
    allocation = compiled.image
    memory[allocation.base * BEAT_BYTES : (allocation.base + allocation.beats) * BEAT_BYTES] = pack_matrix(
        rows, allocation.size
    )
    return memory


def different(
    compiled: Compiled,
    model: IntegerVit,
    image: IntArray,
    memory: npt.NDArray[np.uint8],
    expected: dict[str, IntArray] | None = None,
) -> list[str]:
    """The stored tensors that are not the reference's."""
    expected, found = expected or model.run(image), tensors_of(compiled.allocations, memory)
    del found[model.graph.source]
    stored = {layer.name for layer in compiled.plan.layers if not isinstance(layer, Mean)} - {*compiled.overwritten}
    assert set(found) == stored and model.graph.output in found
    if isinstance(model.model.shape, VitShape):
        shape = model.model.shape
        written = len(found) + len(compiled.overwritten)
        beside = STORED_BESIDE + shape.distilled + shape.pre_norm + STORED_OF_A_POOL[shape.pool]
        assert written == STORED_A_BLOCK * shape.depth + beside
    wrong = []
    for name, matrix in found.items():
        rows = expected[name].reshape(-1, expected[name].shape[-1])
        lines = compiled.orders.get(name)
        got = matrix[: len(rows)] if lines is None else matrix[lines]
        if not np.array_equal(got, rows):
            wrong.append(name)
    return wrong


def interpreted(
    compiled: Compiled,
    machine: AcceleratorConfig,
    model: IntegerVit,
    image: IntArray,
    expected: dict[str, IntArray] | None = None,
) -> list[str]:
    """Runs the program word by word; the tensors that come out wrong."""
    memory = memory_with(compiled, model, image)
    Interpreter(machine, memory).run(compiled.program)
    return different(compiled, model, image, memory, expected)
