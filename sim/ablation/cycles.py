"""Cycles of a frame in a variant's machine: predicted by the compiler, or counted in the emulated board."""

from __future__ import annotations

import dataclasses

from firmware.compiler.compiler import compile_graph
from firmware.compiler.cost import predict
from gateware.config import config
from sim.bench.measure import measure
from sim.bench.workloads import Workload, random_image
from sim.reference.arithmetic import Arithmetic
from sim.reference.errors import UserError
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import IntegerModel

__all__ = ["frame_cycles"]

SEED = 1


def frame_cycles(model: IntegerModel, arithmetic: Arithmetic, board: str, emulate: bool) -> int:
    """Cycles of a frame.

    Raises
    ------
    UserError : emulated, a tensor differs from the reference
    CompileError : the model does not fit the machine
    """
    machine = config(board).with_arithmetic(arithmetic)
    vit = IntegerVit(dataclasses.replace(model, arithmetic=arithmetic.name))
    if not emulate:
        return round(predict(machine, compile_graph(vit.graph, machine, model.shape.image).operations).cycles)
    found = measure(Workload("ablation", vit, random_image(vit.model, SEED), ""), machine, "arty_a7")
    if found.different:
        raise UserError(f"{arithmetic.name} on {board}: {found.different[0]}")
    return int(found.row["cycles"])
