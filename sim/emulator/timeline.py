"""Timelines of a frame: a picture, and a trace for a browser's viewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from firmware.program.log import Layer

__all__ = ["ENGINES", "chrome_trace", "draw"]

ENGINES: tuple[tuple[str, Callable[[Layer], float]], ...] = (
    ("array", lambda layer: layer.share("steps")),
    ("T loads", lambda layer: layer.share("load_t_busy")),
    ("B loads", lambda layer: layer.share("load_b_busy")),
    ("Shiftmax", lambda layer: layer.share("vector_busy")),
    ("DRAM", lambda layer: layer.beats / max(1, layer.cycles)),
)
"""What a timeline shows, and how busy it is in a layer, 0 to 1; DRAM as beats a cycle of the port."""
LABELLED = 0.02
"""Layers of less than this part of the frame get no name in the picture."""


def draw(path: Path, layers: Sequence[Layer], title: str, form: str = "png") -> None:
    """Writes a picture: layers from left to right, engines from bottom to top, colour by how busy.

    Raises
    ------
    OSError, ValueError : the file cannot be written, or `form` is no format of a picture
    """
    # Imported here: a second that the table does without. A figure of its own leaves pyplot's state alone.
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    colours = colormaps["viridis"]
    figure = Figure(figsize=(14, 4.5), layout="constrained")
    axes = figure.add_subplot()
    end = layers[-1].start + layers[-1].cycles
    for position, (_, busy) in enumerate(ENGINES):
        spans = [(layer.start, layer.cycles) for layer in layers]
        axes.broken_barh(spans, (position - 0.4, 0.8), color=[colours(min(1.0, busy(layer))) for layer in layers])
    for layer in layers:
        axes.axvline(layer.start, color="white", linewidth=0.4)
        if layer.cycles >= LABELLED * end:
            place = (layer.start + layer.cycles / 2, len(ENGINES) - 0.5)
            axes.annotate(layer.name, place, rotation=60, fontsize=6, annotation_clip=False)
    axes.set_yticks(range(len(ENGINES)), [name for name, _ in ENGINES])
    axes.set_xlim(0, end)
    axes.set_ylim(-0.5, len(ENGINES) + 1.5)
    axes.set_xlabel("cycle")
    axes.set_title(title, fontsize=9)
    figure.colorbar(ScalarMappable(cmap=colours), ax=axes, label="share of the layer's cycles")
    figure.savefig(path, dpi=150, format=form)


def chrome_trace(layers: Sequence[Layer], clock_mhz: float) -> dict[str, Any]:
    """The Trace Event Format of Chrome and Perfetto: a slice a layer with its counters, and a counter track an engine.

    Times are in microseconds at the machine's clock, from the first mark.
    """
    events: list[dict[str, Any]] = [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": 0, "args": {"name": "layers"}},
        {"name": "process_name", "ph": "M", "pid": 0, "args": {"name": f"machine at {clock_mhz:g} MHz"}},
    ]
    for layer in layers:
        start, length = layer.start / clock_mhz, layer.cycles / clock_mhz
        common = {"ts": start, "pid": 0}
        events.append({"name": layer.name, "ph": "X", "tid": 0, "dur": length, "args": dict(layer.counters), **common})
        events += [
            {"name": f"{name}, %", "ph": "C", "args": {"busy": round(100 * busy(layer), 2)}, **common}
            for name, busy in ENGINES
        ]
    end = (layers[-1].start + layers[-1].cycles) / clock_mhz
    events += [{"name": f"{name}, %", "ph": "C", "args": {"busy": 0}, "ts": end, "pid": 0} for name, _ in ENGINES]
    return {"traceEvents": events, "displayTimeUnit": "ns"}
