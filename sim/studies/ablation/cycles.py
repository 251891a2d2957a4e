"""Cycles of a frame in a variant's machine: predicted by the compiler, or counted in the emulated board."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from firmware.compiler.compiler import compile_graph
from firmware.compiler.schedule.cost import predict
from gateware.config import config
from sim.reference.arithmetic import Arithmetic
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel
from sim.studies.performance.measure import measure
from sim.studies.performance.workloads import Workload

__all__ = ["emulated_cycles", "predicted_cycles"]


def predicted_cycles(model: IntegerModel, arithmetic: Arithmetic, board: str) -> int:
    """Cycles of a frame by the compiler's model of its costs. Raises CompileError: the model does not fit."""
    machine = config(board).with_arithmetic(arithmetic).with_probabilities(model.shape.softmax_bits)
    compiled = compile_graph(_variant(model, arithmetic).graph, machine, model.shape.image)
    return round(predict(machine, compiled.operations).cycles)


def emulated_cycles(model: IntegerModel, arithmetic: Arithmetic, board: str, image: npt.NDArray[np.int8]) -> int:
    """Cycles of a frame in the emulated board, which is built first (and kept).

    Raises
    ------
    UserError : a tensor differs from the reference
    CompileError : the model does not fit the machine
    """
    machine = config(board).with_arithmetic(arithmetic).with_probabilities(model.shape.softmax_bits)
    found = measure(Workload("ablation", _variant(model, arithmetic), image, ""), machine, "arty_a7")
    if found.different:
        raise UserError(f"{arithmetic.name} on {board}: {found.different[0]}")
    return int(found.row["cycles"])


def _variant(model: IntegerModel, arithmetic: Arithmetic) -> IntegerVit:
    return IntegerVit(dataclasses.replace(model, arithmetic=arithmetic.name))
