"""A board's top, as hw.build makes it, simulated at its pins from power-on to a labelled digit.

python -m sim.pins [--board NAME] [--config NAME] [--no-ethernet] [--baud N] [--size BYTES] [--no-digit]
    [--fault NAME | --faults]
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
from hw.ethernet.settings import DEFAULT_IP, DEFAULT_MAC, EthernetSettings
from sim.pins.boards import BOARDS, model_of
from sim.pins.build import build_board
from sim.pins.check import Bench, first_day
from sim.pins.faults import FAULTS


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m sim.pins", description="A board's first day, at its pins.")
    made.add_argument("--board", default="arty_a7", metavar="NAME", help=f"one of {', '.join(BOARDS)}")
    made.add_argument("--config", metavar="NAME", help="another preset than the board's")
    made.add_argument("--no-ethernet", action="store_true", help="leave Ethernet out, as hw.build does")
    made.add_argument("--baud", type=int, metavar="N", help="of the UART (default: the board's)")
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
    model = model_of(options.board)
    machine = config(options.config or model.board.preset)
    wired = model.board.has_ethernet and not options.no_ethernet
    ethernet = EthernetSettings(DEFAULT_IP, DEFAULT_MAC) if wired else None
    baud = options.baud or BOARD_BAUD[model.board.preset]
    design = model.board(machine, ethernet, baud).design()
    made = Bench(machine, design, build_board(design), baud)
    ether = "with" if wired else "without"
    say(f"built: {design.name}, {machine.name}, {ether} Ethernet, {time.perf_counter() - began:.0f} s")
    return made


def say(text: str) -> None:
    """A line, at once."""
    print(text, flush=True)


def every_fault(made: Bench, options: argparse.Namespace) -> int:
    """Each in turn; 1 if one was not found."""
    hidden = []
    for name, fault in FAULTS.items():
        if fault.slip and not made.constants().phy.leveling:
            continue  # there is no alignment
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
