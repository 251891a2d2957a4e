"""Predicts a frame's cycles without simulating it: operations on engines, events between them, one memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from firmware.compiler.lower.operations import EventKind, Operation
from firmware.compiler.lower.registers import (
    ArrayRegisters,
    Descriptor,
    ExecuteRegisters,
    LoadRegisters,
    Registers,
    SoftmaxRegisters,
)
from firmware.compiler.schedule.clocks import Event
from firmware.compiler.schedule.dependencies import dependencies
from firmware.program.layout import SLAB_COLUMNS
from gateware.config import BEAT_BITS, LANE_BYTES, LANES, AcceleratorConfig, in_halves
from gateware.isa import Engine, PostMode, Transform
from sim.reference.rounding import ceil_div

__all__ = ["Prediction", "in_order_of_start", "operation_costs", "predict"]

# What one operation costs beside its steps and beats, in cycles, from the units' latencies.
SCATTERED_BURSTS = 3  # of a tile: rows that lie together
SCATTER_TILE = 2  # between the bursts of two tiles
EXEC_START = 3  # between operations, in the array
DRAIN = 45  # from the last step to the last result in memory's hands
LOAD_START = 12  # between operations of a load engine
READ_LATENCY = 30  # from a request to the beat in the buffer
NORM_GROUP_LEAST, NORM_LATENCY = 322, 400
L1_GROUP_LEAST = 124  # the L1 form has no root to extract
# Four rows' tables, from -128 to each row's maximum: 1036 at most, less as maxima are lower. Trained models' are 50 on
# average.
GELU_GROUP_TYPICAL, GELU_LATENCY = 725, 820
POLYNOMIAL_GROUP, POLYNOMIAL_LATENCY = 257, 283  # one table for four rows
SOFTMAX_LATENCY = 90
EVENT = 8  # from an event to the engine that waits for it
BURST = 5.0  # memory cycles that a change of row or direction costs, on average
CYCLES_A_BEAT = 1.12  # where memory carries one in a cycle, refresh included
STORED_WORDS = {PostMode.RAW: 4, PostMode.Q8: 1, PostMode.Q16: 2, PostMode.RESIDUAL: 2}  # of a tile's row
NARROW = 1.05  # times the cycles that its bits take, where it is narrower


@dataclass(frozen=True)
class Cost:
    """The cost of one operation: the cycles of its engine, and its memory traffic."""

    cycles: float
    latency: float
    beats: int
    bursts: float
    stored: int = 0
    macs: int = 0


@dataclass(frozen=True)
class Prediction:
    """Cycles of the frame, of each layer from the start of its first operation in the array, and when each operation
    starts.
    """

    cycles: float
    layers: Mapping[str, float]
    memory_busy: float
    starts: list[float]


def in_order_of_start(config: AcceleratorConfig, operations: list[Operation]) -> list[Operation]:
    """The same operations in the order of their predicted start, so that loads are as early as they can be.

    That order is right word by word, as the one given: an engine's operations keep theirs, and whatever waits for an
    event starts after it.
    """
    starts = predict(config, operations).starts
    order = sorted(range(len(operations)), key=lambda index: starts[index])
    return [operations[index] for index in order]


def operation_costs(config: AcceleratorConfig, operations: list[Operation]) -> list[Cost]:
    """The costs of operations, in order."""
    return [_cost(config, operation.registers) for operation in operations]


def _cost(config: AcceleratorConfig, registers: Registers | None) -> Cost:
    match registers:
        case None:  # a MARK
            return Cost(0, 0, 0, 0)
        case ExecuteRegisters(array):
            return _execute(config, array)
        case SoftmaxRegisters():
            words = ceil_div(registers.length.length, LANES)
            width = 1 + in_halves(config.probability_bits)
            return Cost(registers.rows * (2 * words * width + 1), SOFTMAX_LATENCY, 0, 0)
        case LoadRegisters():
            return _load(config, registers)


def _execute(config: AcceleratorConfig, array: ArrayRegisters) -> Cost:
    post, tiles, blocks, r = array.post, array.tiles, array.blocks.blocks, config.rows
    k = array.steps.k_steps * (1 + array.steps.halves)
    columns = STORED_WORDS[post.mode]
    residual = post.mode is PostMode.RESIDUAL
    lanes = 3 * r + 8 if residual else columns * r
    rows = (blocks - 1) * r + array.blocks.rows_last
    beats = rows * tiles * columns // 4 * 5 // 4
    stored = 0 if post.to_scores else rows * tiles if post.scatter else beats
    skipped = beats if residual else 0
    bursts = blocks * ceil_div(tiles * columns, SLAB_COLUMNS) * ((not post.to_scores) + residual)
    if post.scatter:
        bursts = blocks * tiles * SCATTERED_BURSTS
        lanes = r + SCATTER_TILE
    cycles = blocks * tiles * max(max(k, r) / config.pump, lanes) + EXEC_START
    return Cost(cycles, DRAIN, stored + skipped, bursts, stored, rows * tiles * LANES * k * LANE_BYTES)


def _load(config: AcceleratorConfig, registers: LoadRegisters) -> Cost:
    beats, run = _beats(registers.source)
    shape, polynomial = registers.groups, config.arithmetic.gelu == "polynomial"
    cycles, latency = float(beats), float(READ_LATENCY)
    if registers.config.transform is Transform.TRANSPOSE:
        # Of V: it is taken to cost memory alone and to come as late as ShiftGELU's rows, so that it starts early.
        cycles, latency = 0, POLYNOMIAL_LATENCY if polynomial else GELU_LATENCY
    elif shape is not None and registers.config.transform is Transform.LAYERNORM:
        least = L1_GROUP_LEAST if config.arithmetic.layernorm == "l1" else NORM_GROUP_LEAST
        cycles, latency = shape.groups * max(2.0 * shape.channels, least), NORM_LATENCY
    elif shape is not None:
        least, latency = (POLYNOMIAL_GROUP, POLYNOMIAL_LATENCY) if polynomial else (GELU_GROUP_TYPICAL, GELU_LATENCY)
        cycles = shape.groups * max(1.0 * shape.channels, least)
    return Cost(cycles + LOAD_START, latency, beats, beats / run)


def _beats(source: Descriptor) -> tuple[int, int]:
    """How many beats a load reads, and how many of them follow each other in memory."""
    beats, run, reach, contiguous = 1, 1, 0, True
    for steps, stride in source.levels:
        contiguous &= steps == 1 or stride - reach == 1
        reach += (steps - 1) * stride
        beats *= steps
        run = beats if contiguous else run
    return beats, run


def predict(config: AcceleratorConfig, operations: list[Operation]) -> Prediction:
    """Walks the operations in program order; each starts when its engine is free and its events have happened.

    Memory serves one operation's beats after another's, in the order of their starts, beside what the engines do.
    """
    costs = operation_costs(config, operations)
    beat = max(CYCLES_A_BEAT, NARROW * BEAT_BITS / config.memory_bits)
    free: dict[Engine, float] = defaultdict(float)
    events: dict[Event, float] = {}
    memory_free, memory_busy, end = 0.0, 0.0, 0.0
    marks: list[tuple[str, float]] = []
    starts: list[float] = []
    for step, cost in zip(dependencies(operations), costs, strict=True):
        operation, engine = step.operation, step.operation.engine
        if operation.mark is not None:
            marks.append((operation.layer, free[Engine.EXEC]))
            starts.append(free[Engine.EXEC])
            continue
        start = max([free[engine], *[events[wait] + EVENT for wait in step.waits]])
        starts.append(start)
        service = cost.beats * beat + cost.bursts * BURST
        memory_busy += service
        if engine is Engine.EXEC:
            stop = start + max(cost.cycles, service)
            free[engine] = stop
            finished = {EventKind.READ: stop, EventKind.WRITTEN: stop + cost.latency}
            memory_free = max(memory_free, start) + service
        else:
            begun = max(memory_free, start)
            memory_free = begun + service
            stop = max(start + cost.cycles, memory_free)
            free[engine] = stop
            finished = {EventKind.DONE: stop + cost.latency}
        for kind, time in finished.items():
            events[step.events[kind]] = time
            end = max(end, time)
    layers: dict[str, float] = defaultdict(float)
    ends = [time for _, time in marks[1:]] + [end]
    for (name, begin), finish in zip(marks, ends, strict=True):
        layers[name] += finish - begin
    return Prediction(end, layers, memory_busy, starts)
