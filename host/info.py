"""Says what a device is, what a program or model file is, and which boards are on USB and on the own network.

    python -m host.info [--device DEVICE] [--board BOARD] [--json] [PROGRAM]

For a model file the compiler predicts the cycles of a frame on BOARD.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.table import Table

from firmware.compiler.compiler import compile_graph
from firmware.compiler.report import layer_report
from firmware.program.allocation import Allocation
from firmware.program.file import load_program
from gateware.config import BEAT_BYTES, ConfigError, config
from host.command.errors import HostError, run_command
from host.command.terminal import output
from host.devices.model_file import MODEL_FORMAT, kind_of
from host.devices.registry import DEVICES, open_device
from host.devices.serial_port import known_ports
from host.devices.udp import SEARCH_SECONDS, described_board
from host.link.udp import found_boards
from sim.reference.architecture import spelled_out
from sim.reference.integer_vit import IntegerVit
from sim.reference.model_file import load_model

Section = Mapping[str, object]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m host.info", description="Says what a device or a file is.")
    made.add_argument("--device", help=f"also ask this device what it is: {', '.join(sorted(DEVICES))}")
    made.add_argument("--board", default="arty_a7", help="for a model: predict its cycles there (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("program", type=Path, nargs="?", metavar="PROGRAM", help="a program or model file")
    return made


def about_device(spec: str) -> Section:
    """What the device says of itself; nothing but its name where it is no machine."""
    with open_device(spec) as device:
        found = device.info()
    return {"device": spec, **(found.as_object() if found else {"machine": None})}


def about_program(path: Path) -> Section:
    """A program file; the fingerprint is what a device's must equal."""
    program = load_program(path)
    names = ", ".join(program.class_names)
    return {
        "file": str(path),
        "kind": "program",
        "board": program.board,
        **({"settings": ", ".join(program.settings)} if program.settings else {}),
        "arithmetic": program.arithmetic,
        "fingerprint": f"{program.config.fingerprint:08x}",
        "architecture": program.architecture,
        "outputs": ", ".join(f"{kind} ({_size(program.output_allocation(kind))})" for kind in program.outputs),
        "class_names": names if len(names) <= 100 else f"{names[:100]}...",
        "memory_bytes": program.beats * BEAT_BYTES,
        "uploaded_bytes": int(program.memory.size),
        "instructions": len(program.words),
        "layers": max(0, len(program.marks) - 1),
    }


def _size(output: Allocation) -> str:
    return str(output.columns) if output.rows == 1 else f"{output.rows} x {output.columns}"


def about_model(path: Path, board: str) -> Section:
    """A model file, and what it would be as a program for `board`."""
    model = IntegerVit(load_model(path))
    found: dict[str, object] = {
        "file": str(path),
        "kind": "model",
        "architecture": spelled_out(model.model.shape),
        "arithmetic": model.model.arithmetic,
        "outputs": ", ".join(model.model.shape.outputs()),
        "classes": model.model.shape.classes,
    }
    try:
        machine = config(board, model.model.arithmetic).with_probabilities(model.model.shape.softmax_bits)
    except ConfigError as error:
        raise HostError(f"{error}.") from error
    report = layer_report(compile_graph(model.graph, machine, model.model.shape.image), machine)
    return found | {
        "board": report.board,
        "memory_bytes": report.memory_bytes,
        "instructions": report.instructions,
        "predicted_cycles": report.predicted_cycles,
        "frames_per_second": report.frames_per_second,
    }


def about_file(path: Path, board: str) -> Section:
    """A program or a model.

    Raises
    ------
    UserError : it is neither
    """
    return about_model(path, board) if kind_of(path) == MODEL_FORMAT else about_program(path)


def shown(section: Section, title: str) -> Table:
    """A section for people, a row a value; large numbers with separators."""
    table = Table("what", "value", title=title, show_header=False)
    for name, value in section.items():
        text = f"{value:,}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
        table.add_row(name.replace("_", " "), "none" if value is None else text)
    return table


def info(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status: 1 where the program is not for the device."""
    ports, network = known_ports(), found_boards(SEARCH_SECONDS)
    device = about_device(options.device) if options.device else None
    file = about_file(options.program, options.board) if options.program else None
    fits = None
    if device and file and device.get("fingerprint") and file.get("fingerprint"):
        fits = device["fingerprint"] == file["fingerprint"]
    if options.json:
        boards = [{"port": port, "board": board} for port, board in ports]
        answered = [{"device": f"udp:{found.host}", "configuration": described_board(found)} for found in network]
        print(
            json.dumps({"boards": boards, "network": answered, "device": device, "file": file, "fits": fits}, indent=1)
        )
    else:
        console = output()
        print("boards on USB: " + (", ".join(f"{board} at serial:{port}" for port, board in ports) or "none known"))
        there = ", ".join(f"{described_board(found)} at udp:{found.host}" for found in network)
        print(f"boards on the network: {there or 'none answers'}")
        for title, section in (("device", device), ("file", file)):
            if section:
                console.print(shown(section, title))
        if fits is not None:
            print(f"{options.program} {'runs' if fits else 'does not run'} on {options.device}")
    return 1 if fits is False else 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: info(options))


if __name__ == "__main__":
    sys.exit(main())
