"""Breaks everything that can break between host and device, and says what came of it.

    python -m host.faults [--device sim:BOARD] [--model MODEL] [--short] [--seed N] [--json]

Required of each fault: never a wrong label, never longer than the link's time-outs, a sentence and never a traceback,
and the next frame exact. Exit status 1 where that is not so.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from gateware.config import ALIASES, PRESETS, AcceleratorConfig, config
from host.command.errors import HostError, run_command
from host.command.terminal import output, tracked
from host.demo import SHIPPED_MODEL
from host.faults.bench import Bench, Row
from host.faults.cases import CASES
from host.faults.served import served_rows
from host.faults.served_udp import served_udp_rows

SERVED = 5  # rows of a board in another process
COLUMNS = ("fault", "faults", "exact", "errors", "wrong", "seconds", "of", "next frame", "")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m host.faults",
        description="Breaks everything that can break, and prints what the user then sees.",
    )
    made.add_argument("--device", default="sim:tiny", metavar="sim:BOARD", help="emulated board (default: %(default)s)")
    made.add_argument("--model", type=Path, default=SHIPPED_MODEL, help="integer model (default: the shipped one)")
    made.add_argument("--short", action="store_true", help="few frames and packets of each fault")
    made.add_argument("--seed", type=int, default=1, help="seed of the places of faults (default: %(default)s)")
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return made


def board(spec: str) -> str:
    """The configuration of `sim:BOARD`.

    Raises
    ------
    HostError : it is another device: one cannot break a real board's cable
    """
    kind, _, name = spec.partition(":")
    if kind != "sim" or ALIASES.get(name, name) not in PRESETS:
        known = ", ".join(f"sim:{known}" for known in PRESETS)
        raise HostError(f"The faults are tried on an emulated board, not on {spec!r}: name one of {known}.")
    return name


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """A row a fault, as they come. What raises something else than a HostError has failed, and the others go on."""
    name = board(options.device)

    def machine(arithmetic: str) -> AcceleratorConfig:
        return config(name, arithmetic)

    with ExitStack() as stack:
        bench = stack.enter_context(closing(Bench(machine, options.model, random.Random(options.seed))))
        for case in CASES:
            try:
                yield case(bench, options.short)
            except Exception as error:  # a traceback is what this command looks for
                trace = traceback.extract_tb(error.__traceback__)[-1]
                yield Row(
                    case.__qualname__, problems=[f"{type(error).__name__}: {error} ({trace.name}:{trace.lineno})"]
                )
        yield from served_rows(bench)
        yield from served_udp_rows(bench)


def cells(row: Row) -> tuple[str, ...]:
    """A row as text."""
    frames = row.recovered + row.not_recovered
    return (
        row.fault,
        f"{row.faults}",
        f"{row.exact}",
        f"{row.errors}",
        f"{row.wrong}",
        f"{row.longest:.3f}",
        f"{row.limit:.3f}",
        f"{row.recovered} of {frames} exact",
        "pass" if row.passed else "FAIL",
    )


def faults(options: argparse.Namespace) -> int:
    """The command's body; returns the exit status."""
    console = output()
    lines = not (console.is_terminal or options.json)
    if lines:
        print("\t".join((*COLUMNS[:-1], "result")), flush=True)
    found: list[Row] = []
    for row in tracked(rows(options), len(CASES) + SERVED, "faults"):
        found.append(row)
        if lines:
            print("\t".join(cells(row)), flush=True)
    failed = [row for row in found if not row.passed]
    if options.json:
        objects = [{**dataclasses.asdict(row), "passed": row.passed} for row in found]
        print(json.dumps({"device": options.device, "seed": options.seed, "faults": objects}, indent=1))
    elif console.is_terminal:
        table = Table(*COLUMNS, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for row in found:
            table.add_row(*cells(row))
        console.print(table)
    for row in failed:
        reasons = "; ".join(row.problems) or f"{row.wrong} wrong, {row.not_recovered} frames afterwards not exact"
        print(f"{row.fault}: {reasons}", file=sys.stderr)
    return 1 if failed else 0


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit status."""
    options = parser().parse_args(arguments)
    return run_command(lambda: faults(options))


if __name__ == "__main__":
    sys.exit(main())
