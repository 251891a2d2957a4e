"""Predicts a frame's cycles without simulating it: operations on engines, events between them, one memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from firmware.compiler.lower.operations import Operation
from firmware.compiler.schedule.dependencies import Stream, dependencies
from gateware.config import BEAT_BITS, AcceleratorConfig
from gateware.isa import SOURCE_LEVELS, Engine, PostMode, Transform

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
NARROW = 1.05  # times the cycles that its bits take, where it is narrower


@dataclass(frozen=True)
class Cost:
    """Of one operation: cycles that its engine takes, and what it asks of memory."""

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
    """The same operations in the order in which they are predicted to start: loads as early as what they wait for.

    That order is right word by word, as the one given: an engine's operations keep theirs, and whatever waits for an
    event starts after it.
    """
    starts = predict(config, operations).starts
    order = sorted(range(len(operations)), key=lambda index: starts[index])
    return [operations[index] for index in order]


def operation_costs(config: AcceleratorConfig, operations: list[Operation]) -> list[Cost]:
    """The costs of operations in program order (registers keep their values)."""
    registers: dict[Engine, dict[str, int | Mapping[str, int]]] = defaultdict(dict)
    costs = []
    for operation in operations:
        now = registers[operation.engine]
        now.update(operation.registers)
        if operation.mark is not None:
            costs.append(Cost(0, 0, 0, 0))
        elif operation.engine is Engine.EXEC:
            costs.append(_execute(config, now))
        elif operation.engine is Engine.VEC:
            words = -(-_field(now, "LENGTH", "length") // 4)
            width = 2 if config.probability_bits > 8 else 1
            costs.append(Cost(_value(now, "ROWS") * (2 * words * width + 1), SOFTMAX_LATENCY, 0, 0))
        else:
            costs.append(_load(config, now))
    return costs


def _value(registers: Mapping[str, int | Mapping[str, int]], name: str) -> int:
    value = registers.get(name, 0)
    assert isinstance(value, int)
    return value


def _field(registers: Mapping[str, int | Mapping[str, int]], name: str, field: str) -> int:
    value = registers.get(name, {})
    assert isinstance(value, Mapping)
    return value.get(field, 0)


def _execute(config: AcceleratorConfig, now: Mapping[str, int | Mapping[str, int]]) -> Cost:
    k = _field(now, "STEPS", "k_steps") * (1 + _field(now, "STEPS", "halves"))
    tiles, blocks, last = _value(now, "TILES"), _field(now, "BLOCKS", "blocks"), _field(now, "BLOCKS", "rows_last")
    mode, r = PostMode(_field(now, "POST", "mode")), config.rows
    columns = {PostMode.RAW: 4, PostMode.Q8: 1, PostMode.Q16: 2, PostMode.RESIDUAL: 2}[mode]
    lanes = 3 * r + 8 if mode is PostMode.RESIDUAL else columns * r
    rows = (blocks - 1) * r + last
    scores = _field(now, "POST", "to_scores")
    beats = rows * tiles * columns // 4 * 5 // 4
    scattered = _field(now, "POST", "scatter")
    stored = 0 if scores else rows * tiles if scattered else beats
    skipped = beats if mode is PostMode.RESIDUAL else 0
    bursts = blocks * -(-tiles * columns // 4) * ((not scores) + (mode is PostMode.RESIDUAL))
    if scattered:
        bursts = blocks * tiles * SCATTERED_BURSTS
        lanes = r + SCATTER_TILE
    cycles = blocks * tiles * max(k, r, lanes) + EXEC_START
    return Cost(cycles, DRAIN, stored + skipped, bursts, stored, rows * tiles * 4 * k * 4)


def _load(config: AcceleratorConfig, now: Mapping[str, int | Mapping[str, int]]) -> Cost:
    beats, run = 1, 1
    contiguous = True
    for level in range(SOURCE_LEVELS):
        steps = 1 - _value(now, f"SRC_COUNT{level}")
        contiguous &= steps == 1 or _value(now, f"SRC_JUMP{level}") == 1
        beats *= steps
        run = beats if contiguous else run
    kind = Transform(_field(now, "CONFIG", "transform"))
    bursts, cycles, latency = beats / run, float(beats), float(READ_LATENCY)
    if kind is not Transform.IDENTITY:
        groups, channels = _field(now, "GROUPS", "groups"), _field(now, "GROUPS", "channels")
        if kind is Transform.LAYERNORM:
            least = L1_GROUP_LEAST if config.arithmetic.layernorm == "l1" else NORM_GROUP_LEAST
            cycles, latency = groups * max(2.0 * channels, least), NORM_LATENCY
        elif config.arithmetic.gelu == "polynomial":
            cycles, latency = groups * max(1.0 * channels, POLYNOMIAL_GROUP), POLYNOMIAL_LATENCY
        else:
            cycles, latency = groups * max(1.0 * channels, GELU_GROUP_TYPICAL), GELU_LATENCY
    return Cost(cycles + LOAD_START, latency, beats, bursts)


def predict(config: AcceleratorConfig, operations: list[Operation]) -> Prediction:
    """Walks the operations in program order; each starts when its engine is free and its events have happened.

    Memory serves one operation's beats after another's, in the order of their starts, beside what the engines do.
    """
    costs = operation_costs(config, operations)
    beat = max(CYCLES_A_BEAT, NARROW * BEAT_BITS / config.memory_bits)
    free: dict[Engine, float] = defaultdict(float)
    events: dict[tuple[Stream, int], float] = {}
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
            finished = {"read": stop, "written": stop + cost.latency}
            memory_free = max(memory_free, start) + service
        else:
            begun = max(memory_free, start)
            memory_free = begun + service
            stop = max(start + cost.cycles, memory_free)
            free[engine] = stop
            finished = {"done": stop + cost.latency}
        for event, time in finished.items():
            events[(engine, event), step.number[event]] = time
            end = max(end, time)
    layers: dict[str, float] = defaultdict(float)
    ends = [time for _, time in marks[1:]] + [end]
    for (name, begin), finish in zip(marks, ends, strict=True):
        layers[name] += finish - begin
    return Prediction(end, layers, memory_busy, starts)
