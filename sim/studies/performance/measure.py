"""One row of the table: a workload on a board."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from firmware.compiler.compiled import Compiled, program_of
from firmware.compiler.compiler import compile_graph
from firmware.compiler.schedule.cost import predict
from gateware.config import AcceleratorConfig
from gateware.config import config as preset
from sim.emulator.board import Board, Frame
from sim.emulator.exactness import checked_frame
from sim.emulator.timings import check_under, random_memories
from sim.studies.performance.workloads import Workload

__all__ = ["Measurement", "measure"]

NORM_DSP = 2  # LayerNorm's squares, where the configuration gives them DSPs
STALLS = ("exec_wait", "exec_blocked", "exec_empty")


@dataclass(frozen=True)
class Measurement:
    """What a frame took.

    Parameters
    ----------
    row : plain values, as they go to the table and the JSON file
    machine : what it ran on
    frame, compiled : for the pictures
    different : a sentence for each tensor that differs from the reference
    """

    row: dict[str, Any]
    machine: AcceleratorConfig
    frame: Frame
    compiled: Compiled
    different: list[str]


def dsp(config: AcceleratorConfig) -> int:
    """DSP multipliers that the machine uses."""
    return config.array_dsp + (NORM_DSP if config.dsp_in_layernorm else 0)


def measure(workload: Workload, config: AcceleratorConfig, memory: str, thorough: bool = False) -> Measurement:
    """Compiles, runs one frame, compares every tensor with the reference; where a frame is short and `thorough` is
    asked for, also of frames with random memories, whose cycles do not count.
    """
    model = workload.model
    compiled = compile_graph(model.graph, config, model.model.shape.image)
    predicted = predict(config, compiled.operations).cycles
    program = program_of(model, compiled, config)
    with Board(program, memory) as board:
        begin = time.perf_counter()
        frame, result = checked_frame(board, model, compiled, workload.image)
        seconds = time.perf_counter() - begin
    others = random_memories(predicted) if thorough else []
    more = [check_under(other, program, model, compiled, workload.image) for other in others]
    different = [*result.different, *(sentence for one in more for sentence in one.different)]
    work = model.model.shape.macs()
    multipliers = dsp(config)
    clocks = "" if config.pump == preset(config.name).pump else f"pump={config.pump}"
    row = {
        "model": workload.name,
        "board": f"{config.name} {clocks}".rstrip(),
        "arithmetic": config.arithmetic.name,
        "cycles": frame.cycles,
        "predicted_cycles": round(predicted),
        "dsp": multipliers,
        "macs": work,
        "macs_per_dsp_cycle": round(work / multipliers / frame.cycles, 4),
        "macs_per_dsp_array_cycle": round(work / multipliers / frame.cycles / config.pump, 4),
        "array_utilisation": round(frame.counters["steps"] / frame.cycles, 4),
        "exact": not different,
        "tensors_compared": result.tensors,
        "integers_compared": result.integers,
        "stalls": {name: frame.counters[name] for name in STALLS},
        "dram_bytes": 16 * (frame.memory.beats_read + frame.memory.beats_written),
        "frames_per_second": round(config.clock_mhz * 1e6 / frame.cycles, 2),
        "emulation_seconds": round(seconds, 1),
        "memory": memory,
        "memories_compared": [memory, *others],
        "command": f"python -m sim.bench {workload.arguments} --board {config.name} --arithmetic "
        f"{config.arithmetic.name}"
        + (f" --set {clocks}" if clocks else "")
        + ("" if memory == "arty_a7" else f" --memory {memory}"),
    }
    return Measurement(row, config, frame, compiled, different)
