"""Pictures of a run: what the engines did over time, and where the layers stand under the roofline."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from firmware.compiler.cost import operation_costs
from gateware.config import config
from sim.bench.measure import Measurement
from sim.bench.tables import picture_names

__all__ = ["draw"]

ENGINES = (
    ("array", "steps"),
    ("T loads", "load_t_busy"),
    ("B loads", "load_b_busy"),
    ("Shiftmax", "vector_busy"),
    ("DRAM", "beats"),
)
PORT_BYTES = 16  # a cycle, at most


def draw(folder: Path, result: Measurement) -> list[Path]:
    """Writes timeline and roofline as PNG; returns their paths."""
    paths = [folder / name for name in picture_names(result.row)]
    _timeline(paths[0], result)
    _roofline(paths[1], result)
    return paths


def _timeline(path: Path, result: Measurement) -> None:
    figure, axes = plt.subplots(figsize=(14, 4))
    start = 0.0
    for name, counters in result.frame.layers:
        cycles = counters["cycles"]
        for position, (_, counter) in enumerate(ENGINES):
            busy = (
                counters["memory_reads"] + counters["memory_writes"] if counter == "beats" else counters[counter]
            ) / max(1, cycles)
            axes.barh(position, cycles, left=start, height=0.8, color=plt.cm.viridis(min(1.0, busy)), linewidth=0)
        axes.axvline(start, color="white", linewidth=0.3)
        if cycles > 0.02 * result.frame.cycles:
            axes.text(start + cycles / 2, len(ENGINES) - 0.4, name, rotation=60, fontsize=5, ha="left")
        start += cycles
    axes.set_yticks(range(len(ENGINES)), [name for name, _ in ENGINES])
    axes.set_xlabel("cycle")
    axes.set_xlim(0, start)
    axes.set_ylim(-0.5, len(ENGINES) + 1.2)
    figure.colorbar(plt.cm.ScalarMappable(cmap="viridis"), ax=axes, label="share of the layer's cycles busy")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _roofline(path: Path, result: Measurement) -> None:
    machine = config(result.row["board"], result.row["arithmetic"])
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
    for name, counters in result.frame.layers:
        traffic = PORT_BYTES * (counters["memory_reads"] + counters["memory_writes"])
        if traffic and counters["cycles"] and macs.get(name):
            axes.scatter(macs[name] / traffic, macs[name] / counters["cycles"], s=12)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("MACs per byte of DRAM traffic")
    axes.set_ylabel("MACs per cycle")
    axes.set_title(f"{result.row['model']}, {machine.name}, {machine.arithmetic.name}: each layer")
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
