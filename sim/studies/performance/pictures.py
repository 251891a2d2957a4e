"""Pictures of a run: what the engines did over time, and where the layers stand under the roofline."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from firmware.compiler.schedule.cost import operation_costs
from sim.emulator.timeline import draw as draw_timeline
from sim.studies.performance.measure import Measurement
from sim.studies.performance.tables import picture_names

__all__ = ["draw"]

PORT_BYTES = 16  # a cycle, at most


def draw(folder: Path, result: Measurement) -> list[Path]:
    """Writes timeline and roofline as PNG; returns their paths."""
    paths = [folder / name for name in picture_names(result.row)]
    row = result.row
    draw_timeline(paths[0], result.frame.layers, f"{row['model']}, {row['board']}, {row['arithmetic']}")
    _roofline(paths[1], result)
    return paths


def _roofline(path: Path, result: Measurement) -> None:
    machine = result.machine
    macs: dict[str, float] = {}
    for operation, cost in zip(
        result.compiled.operations, operation_costs(machine, result.compiled.operations), strict=True
    ):
        macs[operation.layer] = macs.get(operation.layer, 0.0) + cost.macs
    figure, axes = plt.subplots(figsize=(7, 5))
    peak = machine.macs_per_cycle
    limits = [0.1, 1000.0]
    axes.plot(limits, [min(peak, PORT_BYTES * x) for x in limits], color="black", linewidth=0)
    knee = peak / PORT_BYTES
    axes.plot([limits[0], knee, limits[1]], [PORT_BYTES * limits[0], peak, peak], color="black", linewidth=1)
    for layer in result.frame.layers:
        traffic = PORT_BYTES * layer.beats
        if traffic and layer.cycles and macs.get(layer.name):
            axes.scatter(macs[layer.name] / traffic, macs[layer.name] / layer.cycles, s=12)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("MACs per byte of DRAM traffic")
    axes.set_ylabel("MACs per cycle")
    axes.set_title(f"{result.row['model']}, {machine.name}, {machine.arithmetic.name}: each layer")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
