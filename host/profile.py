"""Runs one frame and says where its cycles went, layer by layer, from the counters' log on the device.

    python -m host.profile [--device DEVICE] [--png FILE] [--trace FILE] [--json] PROGRAM [IMAGE]

Without IMAGE a grey picture runs: the cycles of a frame do not depend on what it shows. `--png` draws a timeline,
`--trace` writes one for chrome://tracing or Perfetto. On a terminal a table
in per cent of each layer's cycles, in a pipe the same as lines separated by tabs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.table import Table

from firmware.program.log import Layer
from host.command.errors import HostError, reason, run_command
from host.command.terminal import output
from host.devices.registry import DEFAULT_DEVICE, DEVICES, open_device
from sim.emulator.timeline import ENGINES, chrome_trace, draw
from sim.reference.errors import replaced_when_complete
from sim.reference.picture import read_picture

COLUMNS: tuple[tuple[str, Callable[[Layer], float], str], ...] = (
    ("array", lambda layer: layer.share("steps"), "it steps"),
    ("wait", lambda layer: layer.share("exec_wait"), "it waits for a load or for Shiftmax"),
    ("drain", lambda layer: layer.share("exec_blocked"), "a tile's last step waits for the drain"),
    ("empty", lambda layer: layer.share("exec_empty"), "it has no instruction"),
    *((name.removesuffix(" loads"), busy, "busy") for name, busy in ENGINES[1:]),
)
"""Title, share of a layer's cycles, and what that is: of the array first, then of the other engines."""
GREY = 128
SIDE = 224  # of the grey picture; it is resized to whatever the model takes


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m host.profile", description="Shows where the cycles of a frame go, layer by layer."
    )
    made.add_argument("--device", default=DEFAULT_DEVICE, help=f"{', '.join(sorted(DEVICES))} (default: %(default)s)")
    made.add_argument("--png", type=Path, metavar="FILE", help="draw a timeline")
    made.add_argument("--trace", type=Path, metavar="FILE", help="write a timeline for chrome://tracing or Perfetto")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("program", type=Path, metavar="PROGRAM", help="the file that the device runs")
    made.add_argument("image", type=Path, nargs="?", metavar="IMAGE", help="the picture of the frame (default: grey)")
    return made


def rows(layers: Sequence[Layer]) -> list[tuple[str, ...]]:
    """A row a layer and one for their sum: name, cycles, and in per cent of them what `COLUMNS` says."""
    return [
        (layer.name, f"{layer.cycles}", *(f"{100 * share(layer):.1f}" for _, share, _ in COLUMNS))
        for layer in (*layers, total(layers))
    ]


def as_table(layers: Sequence[Layer]) -> Table:
    """The same for a terminal; the last row is the sum."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("layer", no_wrap=True, min_width=max(len(layer.name) for layer in layers))
    for title in ("cycles", *(name for name, _, _ in COLUMNS)):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows(layers):
        table.add_row(*row, style="bold" if row[0] == TOTAL else None)
    return table


TOTAL = "all layers"


def total(layers: Sequence[Layer]) -> Layer:
    """The sum of all layers."""
    return Layer(TOTAL, 0, {name: sum(layer.counters[name] for layer in layers) for name in layers[0].counters})


def as_object(layers: Sequence[Layer], cycles: int, clock_mhz: float) -> dict[str, object]:
    """For `--json`: every counter of every layer."""
    return {
        "cycles": cycles,
        "clock_mhz": clock_mhz,
        "frames_per_second": clock_mhz * 1e6 / cycles,
        "layers": [{"layer": layer.name, "start": layer.start, **layer.counters} for layer in layers],
    }


def written(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` make a file.

    Raises
    ------
    HostError : it cannot be written, or its name says a format that is unknown
    """
    try:
        with replaced_when_complete(path) as temporary:
            write(temporary)
    except (OSError, ValueError) as error:
        raise HostError(f"Cannot write {path}: {reason(error)}.") from error


def profile(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    picture = read_picture(options.image) if options.image else Image.new("RGB", (SIDE, SIDE), (GREY, GREY, GREY))
    with open_device(options.device) as device:
        device.load(options.program)
        prediction = device.infer(picture)
        layers, clock = device.layers(), device.clock_mhz
    if not layers or prediction.cycles is None or clock is None:
        raise HostError(f"{options.program} has no marks, so nothing tells its layers apart: compile it again.")
    if options.png:
        title = f"{options.program.name} on {options.device}: {prediction.cycles:,} cycles at {clock:g} MHz"
        form = options.png.suffix.removeprefix(".") or "png"
        written(options.png, lambda path: draw(path, layers, title, form))
    if options.trace:
        written(options.trace, lambda path: path.write_text(json.dumps(chrome_trace(layers, clock))))
    if options.json:
        print(json.dumps(as_object(layers, prediction.cycles, clock), indent=1))
        return 0
    console = output()
    if not console.is_terminal:
        for row in (("layer", "cycles", *(name for name, _, _ in COLUMNS)), *rows(layers)):
            print("\t".join(row))
        return 0
    console.print(as_table(layers))
    array = "; ".join(f"{name}: {text}" for name, _, text in COLUMNS[:4])
    print(f"In per cent of the layer's cycles. {array}. The others: busy; DRAM: of a beat a cycle.")
    rate = clock * 1e6 / prediction.cycles
    print(f"frame: {prediction.cycles:,} cycles, {rate:.1f} frames/s at {clock:g} MHz")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: profile(options))


if __name__ == "__main__":
    sys.exit(main())
