"""`python -m hw.timing [BOARD]`: how late a board's longest paths are, and what makes it hard to place."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from hw.timing.analysis import Analysis
from hw.timing.delays import Wires
from hw.timing.placing import placing
from hw.timing.report import by_unit, placing_lines, print_table, print_worst, to_json, write_docs
from hw.toolchains.errors import ToolError
from hw.toolchains.netlist import opened
from sim.reference.errors import UserError, exit_status

BUILDS = Path("build") / "boards"
NETLIST = "netlist.json"


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m hw.timing", description=__doc__, allow_abbrev=False)
    result.add_argument("board", metavar="BOARD", nargs="?", default="arty_a7", help="an xc7 board that hw.build built")
    result.add_argument("--netlist", type=Path, metavar="FILE", help="a flat netlist of Yosys's write_json instead")
    result.add_argument("--top", metavar="MODULE", default="top", help="the netlist's module (default: %(default)s)")
    result.add_argument(
        "--wire", type=float, default=Wires().base, metavar="NS", help="a wire with one load (default: %(default)s)"
    )
    result.add_argument("--paths", type=int, default=0, metavar="N", help="show the N units' worst paths cell by cell")
    output = result.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--docs", action="store_true", help="bring docs/timing.md up to date")
    return result


def run(options: argparse.Namespace) -> int:
    """Analyses and shows; 0."""
    if not 0 <= options.wire < 100:
        raise UserError(f"--wire must be from 0 to 100 ns, not {options.wire:g}.")
    netlist = options.netlist or BUILDS / options.board / NETLIST
    if not netlist.is_file():
        how = "name a netlist" if options.netlist else f"run `python -m hw.build --board {options.board}` first"
        raise UserError(f"{netlist} is no file; {how}.")
    with Console(stderr=True).status("following every path"):
        try:
            _, flat = opened(netlist.read_text(errors="replace"), options.top)
            rows, found = by_unit(Analysis(flat, Wires(options.wire))), placing(flat)
        except ToolError as error:
            raise UserError(f"{netlist}: {error}") from error
    if not rows:
        raise UserError(f"{netlist} has no xc7 registers; give the netlist of an xc7 board.")
    if options.docs:
        write_docs(rows, found)
    if options.json:
        print(to_json(rows, found))
        return 0
    print_table(rows, Console())
    print("\n".join(placing_lines(found)))
    for row in rows[: options.paths]:
        print_worst(row.worst, Console())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
