"""Compiles a model: fuses layers, places tensors, lowers layers to operations, schedules those into a program."""

from __future__ import annotations

import dataclasses

import numpy as np

from firmware.compiler.compiled import Compiled
from firmware.compiler.errors import MemoryFull
from firmware.compiler.fuse.fusion import fuse
from firmware.compiler.fuse.layers import Matmul, Mean, Norm, Plan
from firmware.compiler.fuse.ranges import check_ranges
from firmware.compiler.lower.emitter import Emitter
from firmware.compiler.lower.network import lower_network
from firmware.compiler.lower.operations import Operation
from firmware.compiler.lower.registers import LoadRegisters
from firmware.compiler.place.lifetimes import last_uses
from firmware.compiler.place.memory import Memory
from firmware.compiler.place.placement import Placement
from firmware.compiler.schedule.assembly import assemble
from firmware.compiler.schedule.cost import in_order_of_start
from firmware.compiler.schedule.dependencies import dependencies
from firmware.program.allocation import Allocation
from gateware.config import AcceleratorConfig
from gateware.isa import LOG_BEATS
from sim.reference.graph import Graph

__all__ = ["compile_graph"]


def compile_graph(graph: Graph, config: AcceleratorConfig, image_side: int) -> Compiled:
    """The program that runs `graph` on a machine.

    Every tensor has a place of its own, so that all can be read after a frame; only where memory cannot hold them do
    those that nobody needs any more give theirs away (`Compiled.overwritten`).

    Raises
    ------
    CompileError : a node or a size that the machine cannot run
    """
    plan = fuse(graph)
    check_ranges(plan, config)
    try:
        return _compiled(plan, config, image_side, shares=False)
    except MemoryFull:
        return _compiled(plan, config, image_side, shares=True)


def _compiled(plan: Plan, config: AcceleratorConfig, image_side: int, shares: bool) -> Compiled:
    """`shares`: tensors may give their places away."""
    placement = Placement(plan, Memory(config.address_bits), image_side)
    norms = [layer.operand for layer in plan.layers if isinstance(layer, Matmul) and isinstance(layer.operand, Norm)]
    emitter = Emitter(config, placement.memory, norms)
    lower_network(placement, emitter, last_uses(plan) if shares else {})
    emitter.operations.begin("end")
    return _linked(config, placement, emitter)


def _linked(config: AcceleratorConfig, placement: Placement, emitter: Emitter) -> Compiled:
    """Both programs with everything around them: one for each place that an image can have."""
    plan, memory, image = placement.plan, placement.memory, placement.image
    log = memory.reserve(LOG_BEATS * len(emitter.operations.marks), "the log")
    operations = in_order_of_start(config, emitter.operations.found)
    steps = dependencies(operations)
    words = assemble(config, operations, log, steps).words()
    program = memory.place(words.view(np.uint8), "the program")
    other_image = memory.reserve(image.beats, "another image")
    moved = [_with_image_at(other_image, image, operation) for operation in operations]
    other_words = assemble(config, moved, log, steps).words()
    other_program = memory.place(other_words.view(np.uint8), "the program for another image")
    means = {layer.name for layer in plan.layers if isinstance(layer, Mean)}  # with what is no tensor between
    tensors = {name: one for name, one in placement.allocations.items() if name not in means}
    overwritten = tuple(name for name in tensors if name in memory.overwritten)
    return Compiled(
        words=words,
        program=program,
        initial=memory.initial,
        allocations={name: one for name, one in tensors.items() if name not in overwritten},
        overwritten=overwritten,
        image=image,
        alternate_program=other_program,
        alternate_image=other_image,
        marks=tuple(emitter.operations.marks),
        log=log,
        beats=memory.next,
        orders=placement.orders,
        operations=operations,
        plan=plan,
    )


def _with_image_at(base: int, image: Allocation, operation: Operation) -> Operation:
    """The operation, for an image that lies elsewhere."""
    if all(access.space != image.name for access in operation.accesses):
        return operation
    registers = operation.registers
    assert isinstance(registers, LoadRegisters)
    source = dataclasses.replace(registers.source, base=registers.source.base - image.base + base)
    return dataclasses.replace(operation, registers=dataclasses.replace(registers, source=source))
