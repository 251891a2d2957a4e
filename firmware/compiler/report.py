"""The table of a compiled model's layers: what each one costs, and which engine bounds it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from firmware.compiler.compiled import Compiled
from firmware.compiler.schedule.cost import Cost, operation_costs, predict
from gateware.config import BEAT_BYTES, AcceleratorConfig
from gateware.isa import Engine

__all__ = ["LayerReport", "Report", "layer_report", "print_report"]

NAMES = {Engine.LOADT: "T loads", Engine.LOADB: "B loads", Engine.EXEC: "array", Engine.VEC: "Shiftmax"}


@dataclass(frozen=True)
class LayerReport:
    """One layer.

    Members
    -------
    cycles : predicted
    bytes : of memory, read and written
    bytes_per_cycle : the bandwidth that it takes
    engines : busy cycles of each
    bound : the engine that is busiest
    """

    layer: str
    macs: int
    cycles: int
    bytes: int
    bytes_per_cycle: float
    engines: dict[str, int]
    bound: str


@dataclass(frozen=True)
class Report:
    """A frame's prediction, what the program takes, and its layers. `dataclasses.asdict` makes JSON of it."""

    board: str
    arithmetic: str
    predicted_cycles: int
    frames_per_second: float
    memory_bytes: int
    tensors: int
    overwritten_tensors: int
    instructions: int
    layers: list[LayerReport]


def layer_report(compiled: Compiled, config: AcceleratorConfig) -> Report:
    """The prediction of a compiled model on the machine that it was compiled for."""
    prediction = predict(config, compiled.operations)
    costs: dict[str, list[tuple[Engine, Cost]]] = defaultdict(list)
    for operation, cost in zip(compiled.operations, operation_costs(config, compiled.operations), strict=True):
        costs[operation.layer].append((operation.engine, cost))
    # A layer that is computed in parts has several marks.
    names = dict.fromkeys(compiled.marks[:-1])
    return Report(
        board=config.name,
        arithmetic=config.arithmetic.name,
        predicted_cycles=round(prediction.cycles),
        frames_per_second=round(config.clock_mhz * 1e6 / prediction.cycles, 2),
        memory_bytes=compiled.beats * BEAT_BYTES,
        tensors=len(compiled.allocations) + len(compiled.overwritten),
        overwritten_tensors=len(compiled.overwritten),
        instructions=len(compiled.words),
        layers=[_layer(name, prediction.layers.get(name, 0.0), costs[name]) for name in names],
    )


def _layer(name: str, cycles: float, costs: list[tuple[Engine, Cost]]) -> LayerReport:
    busy: dict[str, float] = defaultdict(float)
    for engine, cost in costs:
        busy[NAMES[engine]] += cost.cycles
    moved = sum(cost.beats for _, cost in costs) * BEAT_BYTES
    return LayerReport(
        layer=name,
        macs=sum(cost.macs for _, cost in costs),
        cycles=round(cycles),
        bytes=moved,
        bytes_per_cycle=round(moved / max(cycles, 1.0), 2),
        engines={engine: round(value) for engine, value in busy.items()},
        bound=max(busy, key=lambda engine: busy[engine]),
    )


def print_report(console: Console, report: Report) -> None:
    """The same for a person."""
    table = Table(title=f"{report.board}, {report.arithmetic}")
    for column in ("layer", "MACs", "cycles", "bytes", "bytes/cycle", "bound by"):
        table.add_column(column, justify="left" if column in ("layer", "bound by") else "right")
    for layer in report.layers:
        table.add_row(
            layer.layer,
            f"{layer.macs:,}",
            f"{layer.cycles:,}",
            f"{layer.bytes:,}",
            f"{layer.bytes_per_cycle:.2f}",
            layer.bound,
        )
    console.print(table)
    console.print(
        f"predicted: {report.predicted_cycles:,} cycles a frame, {report.frames_per_second} frames/s at the "
        f"board's clock; {report.instructions:,} instruction words, {report.memory_bytes / 1e6:.1f} MB of memory"
    )
    if report.overwritten_tensors:
        console.print(
            f"memory is too small for all {report.tensors} tensors at once: {report.overwritten_tensors} give "
            "their places to later ones, and cannot be read after a frame"
        )
