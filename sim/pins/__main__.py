"""The Arty's top, as hw.build makes it, simulated at its pins from power-on to a labelled digit.

python -m sim.pins [--config NAME] [--no-ethernet] [--baud N] [--size BYTES] [--no-digit] [--fault NAME | --faults]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from gateware.config import config
from gateware.link.uart import BOARD_BAUD
from host.command.errors import HostError, run_command
from host.dram.memory_test import LEAST_BYTES
from hw.boards.arty_a7 import ArtyA7
from hw.ethernet.settings import DEFAULT_IP, DEFAULT_MAC, EthernetSettings
from sim.pins.build import build_board
from sim.pins.check import Bench, first_day
from sim.pins.faults import FAULTS


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m sim.pins", description="An Arty's first day, at its pins.")
    made.add_argument("--config", default=ArtyA7.preset, metavar="NAME", help="a preset (default: %(default)s)")
    made.add_argument("--no-ethernet", action="store_true", help="leave Ethernet out, as hw.build does")
    made.add_argument("--baud", type=int, default=BOARD_BAUD[ArtyA7.preset], help="of the UART (default: %(default)s)")
    made.add_argument("--size", type=int, default=LEAST_BYTES, metavar="BYTES", help="of the memory test")
    made.add_argument("--no-digit", action="store_true", help="stop behind the memory test")
    faults = made.add_mutually_exclusive_group()
    faults.add_argument("--fault", choices=FAULTS, help="put that one in; the command then fails with a sentence")
    faults.add_argument(
        "--faults", action="store_true", help="put each in, one after the other; fails if one stays hidden"
    )
    return made


def bench(options: argparse.Namespace) -> Bench:
    """The board, built where it has not been."""
    began = time.perf_counter()
    machine = config(options.config)
    ethernet = None if options.no_ethernet else EthernetSettings(DEFAULT_IP, DEFAULT_MAC)
    design = ArtyA7(machine, ethernet, options.baud).design()
    made = Bench(machine, design, build_board(design), options.baud)
    say(f"built: {machine.name}, {'with' if ethernet else 'without'} Ethernet, {time.perf_counter() - began:.0f} s")
    return made


def say(text: str) -> None:
    """A line, at once."""
    print(text, flush=True)


def every_fault(made: Bench, options: argparse.Namespace) -> int:
    """Each in turn; 1 if one was not found."""
    hidden = []
    for name, fault in FAULTS.items():
        try:
            first_day(made, lambda text: None, fault, options.size, digit=False)
        except HostError as error:
            say(f"{name}: {fault.what}. Found: {error}")
        else:
            hidden.append(name)
            say(f"{name}: {fault.what}. NOT FOUND")
    return 1 if hidden else 0


def run(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    made = bench(options)
    if options.faults:
        return every_fault(made, options)
    began = time.perf_counter()
    fault = {"fault": FAULTS[options.fault]} if options.fault else {}
    first_day(made, say, **fault, size=options.size, digit=not options.no_digit)
    say(f"simulated in {time.perf_counter() - began:.0f} s")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
