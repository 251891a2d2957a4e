"""`python -m hw.units [UNIT...]`: what single units of the gateware take on an FPGA, and how fast they are."""

import argparse
import sys
from collections.abc import Sequence

from rich.console import Console

from hw.units.errors import UnitsError
from hw.units.registry import BOARDS, UNITS
from hw.units.report import ARITHMETICS, DOCS, Measurement, measure, print_table, to_json, write_docs
from sim.reference.errors import UserError, exit_status


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m hw.units", description=__doc__, allow_abbrev=False)
    result.add_argument("units", metavar="UNIT", nargs="*", help=f"all by default: {', '.join(UNITS)}")
    result.add_argument("--part", metavar="PART", help=f"{' or '.join(BOARDS)}; both by default")
    result.add_argument(
        "--arithmetic",
        metavar="NAME",
        default="lean",
        help=f"{', '.join(ARITHMETICS)}, or a variant (default: %(default)s)",
    )
    result.add_argument("--fmax", action="store_true", help="place and route on ecp5 too; takes minutes for an array")
    output = result.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--docs", action="store_true", help=f"measure what docs/{DOCS.name} shows, and rewrite it")
    return result


def measured(options: argparse.Namespace) -> list[Measurement]:
    """What is asked for, in its order. Raises UnitsError."""
    if options.docs and (options.units or options.part or options.fmax):
        raise UnitsError("--docs measures every unit on every part; leave out units, --part and --fmax")
    errors = Console(stderr=True)
    rows: list[Measurement] = []
    # For the page, the ECP5 has its board's arithmetic; the other one is for the choice of the array on xc7.
    wanted = [("lean", None), ("official", "xc7")] if options.docs else [(options.arithmetic, options.part)]
    for arithmetic, part in wanted:
        fmax = options.fmax or (options.docs and part is None)
        for row in measure(options.units, part, arithmetic, fmax):
            rows.append(row)
            if errors.is_terminal:
                errors.print(f"{row.unit} on {row.part}, {arithmetic}: done", style="dim", highlight=False)
    return rows


def run(options: argparse.Namespace) -> int:
    """Measures and shows; 0."""
    try:
        rows = measured(options)
    except UnitsError as error:
        raise UserError(f"{error}.") from error
    if options.docs:
        write_docs(rows)
    elif options.json:
        print(to_json(rows))
        return 0
    print_table(rows, Console())
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 2 when the input is bad."""
    return exit_status(lambda: run(parser().parse_args(arguments)))


if __name__ == "__main__":
    sys.exit(main())
