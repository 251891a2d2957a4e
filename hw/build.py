"""`python -m hw.build --board BOARD`: from gateware to a bitstream, as far as the installed tools go, and a report."""

from __future__ import annotations

import argparse
import dataclasses
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from rich.console import Console

from firmware.dram.initialisation import FILE_NAME
from gateware.config import AcceleratorConfig, ConfigError, changed, config
from hw.asic.board import Asic
from hw.asic.build import build_asic, print_area
from hw.boards.arty_a7 import ArtyA7, ArtyA7_100
from hw.boards.board import Board, BoardError
from hw.boards.fit import misfits
from hw.boards.parts import Part
from hw.boards.ulx3s import Ulx3s85F
from hw.clock_choice import AUTO, clock, slower
from hw.ethernet.settings import DEFAULT_IP, DEFAULT_MAC, EthernetSettings
from hw.program import program
from hw.reports.boards_page import write_page
from hw.reports.build_report import print_report, report, write_report
from hw.toolchains import openxc7, trellis, vivado, yosys
from hw.toolchains.errors import ToolError, ToolMissing
from hw.toolchains.outcome import Outcome, Routed, check_bitstream
from hw.toolchains.utilisation import over_limits
from sim.reference.errors import UserError, exit_status, made_folder

__all__ = ["BOARDS", "Status", "build", "main"]

BOARDS: dict[str, type[Board]] = {board.name: board for board in (ArtyA7, ArtyA7_100, Ulx3s85F, Asic)}
ALIASES = {"arty_a7_35": "arty_a7"}
ROUTERS: dict[str, ModuleType] = {"openxc7": openxc7, "trellis": trellis}
OUT = Path(__file__).resolve().parents[1] / "build" / "boards"


class Status:
    """What a build came to, and the exit status that says so; 2 is a user's mistake, 130 an interrupt or SIGTERM."""

    SUCCESS = "success"
    PARTIAL = "partial"
    FAILURE = "failure"
    CODES = {SUCCESS: 0, FAILURE: 1, PARTIAL: 3}


class Stages:
    """Tells a person what is going on, and how long each stage took."""

    def __init__(self, console: Console) -> None:
        self._console, self._name, self._begin = console, "", 0.0

    def __call__(self, name: str) -> None:
        """The stage before is over, and the next begins; "" only ends."""
        if self._name:
            self._console.print(f"{self._name}: {time.perf_counter() - self._begin:.1f} s", highlight=False)
        self._name, self._begin = name, time.perf_counter()
        if name and self._console.is_terminal:
            self._console.print(f"{name} ...", style="dim", highlight=False)


def choose(board: Board, wanted: str) -> tuple[str, str]:
    """The toolchain, and what is missing for a better one; raises BoardError for one that the board does not know."""
    if wanted != "auto":
        if wanted not in board.toolchains:
            raise BoardError(f"{board.name} is built with {', '.join(board.toolchains)} or auto, not {wanted}.")
        return wanted, ""
    missing = ""
    for name in board.toolchains:
        try:
            if name == "vivado":
                vivado.vivado()
            elif name == "openxc7":
                assert board.part is not None
                openxc7.commands(board.part, 1)
            return name, missing if name == "yosys" else ""
        except ToolMissing as error:
            missing = f"Not placed and routed: {error}"
    raise BoardError(f"no toolchain for {board.name} is installed; {missing}")


def build(
    board: Board, toolchain: str, folder: Path, seed: int, console: Console, force: bool = False
) -> tuple[Outcome, str, str, str]:
    """Runs a build in a folder; with `force` a bitstream is made that is too slow for its clocks, too.

    Returns
    -------
    outcome, toolchain, status, problem

    Raises
    ------
    BoardError, DramError
        For what a user can change.
    """
    part = board.part
    assert part is not None
    chosen, missing = choose(board, toolchain)
    stages = Stages(console)
    stages("gateware")
    design = board.design()
    design.write(folder)
    outcome = Outcome(None, files=_files(folder))
    try:
        if chosen == "vivado":
            used, routed = vivado.route(part, folder, stages, seed, force)
            outcome = dataclasses.replace(outcome, used=used, routed=routed)
        else:
            stages("synthesis")
            netlist = yosys.synthesise(design, part.family, folder)
            outcome = dataclasses.replace(outcome, used=netlist.used, units=netlist.units, files=_files(folder))
        assert outcome.used is not None
        too_many = over_limits(outcome.used, part)
        if too_many:
            return outcome, chosen, Status.FAILURE, " ".join(too_many)
        if chosen == "yosys":
            sentence = missing or "Synthesis was all that was asked for; choose another --toolchain for a bitstream."
            return dataclasses.replace(outcome, missing=sentence), chosen, Status.PARTIAL, ""
        if chosen in ROUTERS:
            outcome = dataclasses.replace(outcome, routed=ROUTERS[chosen].route(part, folder, stages, seed, force))
    except ToolMissing as error:
        return dataclasses.replace(outcome, missing=f"Not finished: {error}"), chosen, Status.PARTIAL, ""
    except ToolError as error:
        return outcome, chosen, Status.FAILURE, str(error)
    finally:
        stages("")
    assert outcome.routed is not None
    problem = judge(outcome.routed, part)
    slow = too_slow(outcome.routed)
    if slow and force and not problem:
        return outcome, chosen, Status.SUCCESS, f"WARNING, FORCED: {slow} It will give wrong results on a board."
    return outcome, chosen, Status.FAILURE if slow or problem else Status.SUCCESS, slow or problem


def build_at_a_clock(
    board: Board, options: argparse.Namespace, folder: Path, console: Console
) -> tuple[Board, tuple[Outcome, str, str, str]]:
    """`build`; with `--clock auto` again and again, each time with a slower clock, until one is met."""
    while True:
        result = build(board, options.toolchain, folder, options.seed, console, options.force)
        routed, tried = result[0].routed, board.config.clock_mhz
        next_clock = slower(board.clocks, tried, routed) if routed and options.clock == AUTO else None
        if routed is None or next_clock is None:
            return board, result
        console.print(f"{too_slow(routed)} Next: {next_clock:.4g} MHz.", highlight=False, soft_wrap=True)
        board = type(board)(changed(board.config, [f"clock_mhz={next_clock}"]), board.ethernet)


def judge(routed: Routed, part: Part) -> str:
    """What is wrong with a bitstream; empty if nothing is."""
    if routed.bitstream is None or not routed.bitstream.exists():
        return "No bitstream was written."
    wrong = check_bitstream(routed.bitstream, part)
    return f"The bitstream is not right: {wrong}; see the logs." if wrong else ""


def too_slow(routed: Routed) -> str:
    """The clock that misses by most what was asked of it; empty if all reach it."""
    worst = routed.slow
    if worst is None:
        return ""
    return (
        f"The clock {worst.clock} reaches {worst.achieved_mhz:.1f} MHz and is to be {worst.wanted_mhz:.1f}; "
        "try another --seed or lower --clock."
    )


def _files(folder: Path) -> dict[str, Path]:
    """What is in the folder, by what it is to a person."""
    names = {
        "verilog": "top.v",
        "rtlil": "top.il",
        "constraints": "top.xdc",
        "pins": "top.lpf",
        "project": "top.tcl",
        "netlist": yosys.NETLIST,
        "dram": FILE_NAME,
    }
    return {what: folder / name for what, name in names.items() if (folder / name).exists()}


def configuration(board: type[Board], arguments: argparse.Namespace) -> AcceleratorConfig:
    """The board's configuration with what was asked for instead. Raises ConfigError."""
    chosen = config(arguments.config or board.preset, arguments.arithmetic)
    given = [] if arguments.clock in (None, AUTO) else [f"clock_mhz={arguments.clock}"]
    return changed(chosen, [*arguments.set, *given])


def ethernet(board: type[Board], arguments: argparse.Namespace) -> EthernetSettings | None:
    """The addresses; None where the board has no Ethernet, or is to have none. Raises BoardError, EthernetError."""
    given = [f"--{name}" for name in ("ip", "mac") if getattr(arguments, name) is not None]
    if given and (arguments.no_ethernet or not board.has_ethernet):
        reason = "--no-ethernet leaves it out" if board.has_ethernet else f"{board.name} has none"
        raise BoardError(f"{given[0]} is an address of Ethernet, and {reason}; leave one of them out.")
    if arguments.no_ethernet or not board.has_ethernet:
        return None
    return EthernetSettings(arguments.ip or DEFAULT_IP, arguments.mac or DEFAULT_MAC)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m hw.build", description=(__doc__ or "").strip())
    result.add_argument("--board", metavar="NAME", help=f"one of {', '.join([*BOARDS, *ALIASES])}")
    result.add_argument("--list-boards", action="store_true", help="say which boards there are")
    result.add_argument(
        "--toolchain", default="auto", choices=("auto", "vivado", "openxc7", "trellis", "yosys"), metavar="NAME",
        help="auto (the best that is installed), vivado, openxc7, trellis, or yosys (synthesis only)",
    )  # fmt: skip
    result.add_argument(
        "--config", metavar="NAME", help="another preset of gateware/config.py, in place of the board's"
    )
    result.add_argument(
        "--arithmetic", metavar="NAME", help="lean, official, or a variant: lean:softmax_bits=8 (default: the preset's)"
    )
    result.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change a number of the configuration"
    )
    result.add_argument(
        "--clock", type=clock, metavar="MHZ",
        help=f"another clock of the machine; {AUTO}: the fastest of the board's that place and route meets",
    )  # fmt: skip
    result.add_argument("--ip", metavar="A.B.C.D", help=f"of the board's Ethernet (default: {DEFAULT_IP})")
    result.add_argument("--mac", metavar="XX:XX:XX:XX:XX:XX", help=f"the same (default: {DEFAULT_MAC})")
    result.add_argument("--no-ethernet", action="store_true", help="leave Ethernet out: the UART alone")
    result.add_argument("--seed", type=int, default=1, help="of the placer (default: %(default)s)")
    result.add_argument("--force", action="store_true", help="make a bitstream even if it is too slow for its clock")
    result.add_argument("--out", type=Path, metavar="DIR", help="where everything goes (default: build/boards/NAME)")
    result.add_argument(
        "--liberty", type=Path, metavar="FILE", help="asic: the standard cells, one corner of a library"
    )
    result.add_argument("--docs", action="store_true", help="bring docs/boards.md up to date with what was built")
    result.add_argument("--program", action="store_true", help="load the bitstream into the board")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 a bitstream (or everything that was asked for), 3 as far as the tools go, 1 failure, 2 mistake.

    An interrupt (Ctrl-C) or SIGTERM ends the tool that runs, with everything it started, and is status 130.
    """
    options = parser().parse_args(arguments)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return exit_status(lambda: run(options, Console()))
    finally:
        signal.signal(signal.SIGTERM, before)


def run(options: argparse.Namespace, console: Console) -> int:
    """What the command line asks for; returns the exit status."""
    if options.docs:
        absent = write_page(OUT, {name: board.preset for name, board in BOARDS.items()})
        console.print(f"not built yet: {', '.join(absent)}" if absent else "every board is in the table")
        return 0
    if options.list_boards:
        for name, kind in BOARDS.items():
            console.print(f"{name}: {kind.summary}", highlight=False, soft_wrap=True)
        return 0
    try:
        name = ALIASES.get(options.board, options.board)
        if name not in BOARDS:
            known = ", ".join([*BOARDS, *ALIASES])
            raise BoardError(f"--board must be one of {known}, not {options.board!r}.")
        board = BOARDS[name](configuration(BOARDS[name], options), ethernet(BOARDS[name], options))
        if options.liberty and not isinstance(board, Asic):
            raise BoardError(f"--liberty is for asic, and {name} is an FPGA's board; leave it out.")
        if board.part is not None and (too_large := misfits(board.config, board.part)):
            raise BoardError(" ".join(too_large))
        folder = made_folder((options.out or OUT / name).resolve())
        if isinstance(board, Asic):
            choose(board, options.toolchain)
            row, areas = build_asic(board, options.liberty, folder, Stages(console))
            print_area(row, areas, console)
            console.print(f"{row['status']}; report: {folder / 'report.json'}", highlight=False, soft_wrap=True)
            return Status.CODES[row["status"]]
        board, (outcome, toolchain, status, problem) = build_at_a_clock(board, options, folder, console)
    except (BoardError, ConfigError, UserError) as error:
        print(f"error: {str(error).rstrip('.')}.", file=sys.stderr)
        return 2
    assert board.part is not None
    row = report(name, board.part, toolchain, status, board.config, outcome, problem)
    path = write_report(row, folder)
    print_report(row, console)
    console.print(f"{status}; report: {path}", highlight=False, soft_wrap=True)
    if options.program and status == Status.SUCCESS and outcome.routed and outcome.routed.bitstream and board.loader:
        try:
            program(outcome.routed.bitstream, board.loader)
        except (ToolMissing, ToolError) as error:
            print(f"error: {error}", file=sys.stderr)
            return Status.CODES[Status.PARTIAL]
    return Status.CODES[status]


if __name__ == "__main__":
    sys.exit(main())
