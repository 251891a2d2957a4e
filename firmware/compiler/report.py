"""The table of a compiled model's layers: what each one costs, and which engine bounds it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.table import Table

from firmware.compiler.compiled import Compiled
from firmware.compiler.schedule.cost import operation_costs, predict
from gateware.config import BEAT_BYTES, AcceleratorConfig
from gateware.isa import Engine

__all__ = ["layer_report", "print_report"]

NAMES = {Engine.LOADT: "T loads", Engine.LOADB: "B loads", Engine.EXEC: "array", Engine.VEC: "Shiftmax"}


def layer_report(compiled: Compiled, config: AcceleratorConfig) -> dict[str, Any]:
    """Plain values: the frame's prediction, and for each layer MACs, predicted cycles, bytes, busy cycles of the
    engines and the one that bounds it, and the bandwidth that it takes.
    """
    prediction = predict(config, compiled.operations)
    busy: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    totals: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for operation, cost in zip(compiled.operations, operation_costs(config, compiled.operations), strict=True):
        busy[operation.layer][NAMES[operation.engine]] += cost.cycles
        totals[operation.layer]["macs"] += cost.macs
        totals[operation.layer]["bytes"] += cost.beats * BEAT_BYTES
        totals[operation.layer]["memory"] += cost.beats * 1.0
    layers = []
    for name in dict.fromkeys(compiled.marks[:-1]):  # a layer that is computed in parts has several
        engines = dict(busy[name])
        cycles = prediction.layers.get(name, 0.0)
        layers.append(
            {
                "layer": name,
                "macs": int(totals[name]["macs"]),
                "cycles": round(cycles),
                "bytes": int(totals[name]["bytes"]),
                "bytes_per_cycle": round(totals[name]["bytes"] / max(cycles, 1.0), 2),
                "engines": {engine: round(value) for engine, value in engines.items()},
                "bound": max(engines, key=lambda engine: engines[engine]),
            }
        )
    return {
        "board": config.name,
        "arithmetic": config.arithmetic.name,
        "predicted_cycles": round(prediction.cycles),
        "frames_per_second": round(config.clock_mhz * 1e6 / prediction.cycles, 2),
        "memory_bytes": compiled.beats * BEAT_BYTES,
        "tensors": len(compiled.allocations) + len(compiled.overwritten),
        "overwritten_tensors": len(compiled.overwritten),
        "instructions": len(compiled.words),
        "layers": layers,
    }


def print_report(console: Console, report: dict[str, Any]) -> None:
    """The same for a person."""
    table = Table(title=f"{report['board']}, {report['arithmetic']}")
    for column in ("layer", "MACs", "cycles", "bytes", "bytes/cycle", "bound by"):
        table.add_column(column, justify="left" if column in ("layer", "bound by") else "right")
    for layer in report["layers"]:
        table.add_row(
            layer["layer"],
            f"{layer['macs']:,}",
            f"{layer['cycles']:,}",
            f"{layer['bytes']:,}",
            f"{layer['bytes_per_cycle']:.2f}",
            layer["bound"],
        )
    console.print(table)
    console.print(
        f"predicted: {report['predicted_cycles']:,} cycles a frame, {report['frames_per_second']} frames/s at the "
        f"board's clock; {report['instructions']:,} instruction words, {report['memory_bytes'] / 1e6:.1f} MB of memory"
    )
    if report["overwritten_tensors"]:
        console.print(
            f"memory is too small for all {report['tensors']} tensors at once: {report['overwritten_tensors']} give "
            "their places to later ones, and cannot be read after a frame"
        )
