"""How fast a line carries a program and images, and how long the machine waits for it, in the board's own time.

    python -m host.pace [--board BOARD] [--round-trip MICROSECONDS | --baud N] [--frames N] [--load] [--json] PROGRAM

The emulated board at the end of a modelled Ethernet of 100 Mbit a second, or of a UART. PROGRAM is a program or a model
file; random images run through it.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from gateware.config import AcceleratorConfig, ConfigError, config
from host.command.errors import HostError, run_command
from host.command.terminal import percent
from host.devices.compiled import program_of_file
from host.devices.emulated import ROUND_TRIP, BoardOnALine, opened_machine
from host.devices.emulated_link import EmulatedLink
from host.devices.ethernet_link import EthernetLink
from host.link.connection import Connection
from sim.emulator.emulation import Emulation
from sim.reference.architecture import parse_architecture

LEAST_FRAMES = 4
SEED = 1


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m host.pace",
        description="Measures how fast a line carries images, and how long the machine waits for it.",
    )
    made.add_argument("--board", default="arty_a7", help="emulated board (default: %(default)s)")
    made.add_argument("--frames", type=int, default=5, help=f"images, {LEAST_FRAMES} and more (default: %(default)s)")
    made.add_argument("--load", action="store_true", help="the program goes over the line too, and is timed")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    line = made.add_mutually_exclusive_group()
    usual = round(1e6 * ROUND_TRIP)
    line.add_argument(
        "--round-trip",
        type=int,
        default=usual,
        metavar="MICROSECONDS",
        help="round trip of the Ethernet (default: %(default)s)",
    )
    line.add_argument("--baud", type=int, metavar="N", help="a UART of so many bits a second instead")
    made.add_argument("program", type=Path, metavar="PROGRAM", help="a program or model file")
    return made


def measured(emulation: Emulation, device: BoardOnALine, side: int, frames: int) -> dict[str, float]:
    """Streams random images, then sends one more while a frame runs."""
    link = device.connection
    images = np.random.default_rng(SEED).integers(-128, 128, (frames, 3, side, side)).astype(np.int8)
    cycles, ends = [], []
    for answer in device.answers(iter(images)):
        assert answer.cycles is not None
        cycles.append(answer.cycles)
        ends.append(emulation.cycles)
    # From the answer to the first image, when the second is under way, to that before the last one.
    span, hertz = ends[-2] - ends[0], 1000 * link.identity.clock_khz
    begun = link.now()
    sent = device.send_beside_a_frame(images[0])
    seconds = link.now() - begun
    return {
        "cycles_a_frame": sum(cycles) / len(cycles),
        "frames_per_second": (frames - 2) * hertz / span,
        "idle": 1 - sum(cycles[1:-1]) / span,
        "image_bytes": sent,
        "images_per_second": 1 / seconds,
        "sent_again": link.statistics.resent,
    }


def pace(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    if options.frames < LEAST_FRAMES:
        raise HostError(
            f"--frames must be at least {LEAST_FRAMES}, not {options.frames}: the first and last do not count."
        )
    if options.round_trip < 0 or (options.baud is not None and options.baud < 1):
        raise HostError("--round-trip must not be negative, and --baud must be positive: give microseconds, or bits.")

    def machine(arithmetic: str) -> AcceleratorConfig:
        try:
            return config(options.board, arithmetic)
        except ConfigError as error:
            raise HostError(f"{error}.") from error

    program = program_of_file(options.program, machine)
    clock = program.config.clock_mhz
    with closing(opened_machine(program.config)) as emulation:
        ethernet = EthernetLink(emulation, clock, options.round_trip / 1e6)
        line = ethernet if options.baud is None else EmulatedLink(emulation, clock, options.baud)
        device = BoardOnALine(emulation, Connection(line), options.load)
        begun = line.now()
        device.load_program(program, str(options.program))
        seconds = line.now() - begun
        found: dict[str, float] = {}
        if options.load:
            size = int(program.memory.size)
            found = {"program_bytes": size, "program_seconds": seconds, "program_bytes_per_second": size / seconds}
        found |= measured(emulation, device, parse_architecture(program.architecture).image, options.frames)
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        for name, value in found.items():
            text = percent(value) if name == "idle" else f"{value:,.3f}" if value < 100 else f"{value:,.0f}"
            print(f"{name.replace('_', ' ')}: {text}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: pace(options))


if __name__ == "__main__":
    sys.exit(main())
