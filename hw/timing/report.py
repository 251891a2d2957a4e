"""The estimate by unit, as a table, JSON, or docs/timing.md."""

from __future__ import annotations

import dataclasses
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as File

from rich.console import Console
from rich.table import Table

from hw.timing.analysis import Analysis, Path
from hw.timing.cells import Pin
from hw.timing.delays import Wires
from hw.timing.placing import Placing
from hw.toolchains.netlist import opened
from sim.reference.errors import replaced_when_complete

__all__ = [
    "DOCS",
    "UnitTiming",
    "by_unit",
    "placing_lines",
    "print_table",
    "print_worst",
    "read_units",
    "to_json",
    "write_docs",
]

DOCS = File(__file__).resolve().parents[2] / "docs" / "timing.md"
BEGIN, END = "<!-- the table: `python -m hw.timing --docs` -->", "<!-- end of the table -->"
WITHIN = ("machine", "accelerator", "core")  # modules that are taken apart into units
IN_PARTS = ("link", "transforms", "drain")  # units that are taken apart into theirs
HEADER = ("unit", "worst, ns", "of it wires", "levels", "inputs", "above 10 ns", "above 8 ns", "from", "to")


@dataclass(frozen=True)
class UnitTiming:
    """The inputs of one unit: how many, how many are later than 10 and 8 ns, and the longest path to one."""

    unit: str
    inputs: int
    above_10: int
    above_8: int
    worst: Path


def by_unit(analysis: Analysis) -> list[UnitTiming]:
    """Every unit that the most used clock drives, the one with the longest path first."""
    clocks = analysis.clocks()
    if not clocks:
        return []
    clock = max(clocks, key=lambda one: clocks[one])
    ends: defaultdict[str, list[tuple[str, Pin, float]]] = defaultdict(list)
    for cell, pin, total in analysis.ends(clock):
        ends[_unit(analysis.named(cell))].append((cell, pin, total))
    found = [
        UnitTiming(
            unit,
            len(here),
            sum(total > 10 for *_, total in here),
            sum(total > 8 for *_, total in here),
            analysis.path(*max(here, key=lambda end: end[2])),
        )
        for unit, here in ends.items()
    ]
    return sorted(found, key=lambda one: -one.worst.total)


def read_units(netlist: File, top: str) -> list[UnitTiming]:
    """`by_unit` of a netlist's file, wires as they are by default. Raises ToolError where it cannot be read."""
    return by_unit(Analysis(opened(netlist.read_text(errors="replace"), top)[1], Wires()))


def _unit(name: str) -> str:
    """The unit of a signal, from its modules."""
    modules = [] if "$flatten" in name else name.split(".")[:-1]
    while len(modules) > 1 and modules[0] in WITHIN:
        modules = modules[1:]
    if not modules:
        return "top"
    return ".".join(modules[:2]) if modules[0] in IN_PARTS else modules[0]


def _cells(one: UnitTiming) -> tuple[str, ...]:
    path = one.worst
    figures = (f"{path.total:.2f}", f"{path.wire:.2f}", str(path.levels), f"{one.inputs:,}")
    return (one.unit, *figures, f"{one.above_10:,}", f"{one.above_8:,}", path.start, f"{path.end}/{path.pin}")


def print_table(rows: Sequence[UnitTiming], console: Console) -> None:
    """A table on a terminal; on a pipe, columns separated by tabs."""
    if not console.is_terminal:
        for line in (HEADER, *map(_cells, rows)):
            print("\t".join(line), file=console.file)
        return
    table = Table(*HEADER[:1])
    for title in HEADER[1:-2]:
        table.add_column(title, justify="right")
    table.add_column(HEADER[-2], overflow="fold")
    table.add_column(HEADER[-1], overflow="fold")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def print_worst(path: Path, console: Console) -> None:
    """A path, cell by cell."""
    print(f"{path.total:.2f} ns from {path.start} to {path.end}/{path.pin}", file=console.file)
    for step in path.steps:
        wire = f"wire {step.wire:.2f} ({step.loads} loads), " if step.loads else ""
        print(f"  {wire}{step.kind} {step.delay:.2f}  {step.cell}", file=console.file)


def placing_lines(found: Placing) -> list[str]:
    """What makes the netlist hard to place, a sentence each."""
    enables, resets = (
        ", ".join(f"{loads:,}" for loads in wide) for wide in (found.widest_enables, found.widest_resets)
    )
    return [
        f"{found.registers:,} registers; {found.fed_by_registers:,} are fed by registers and {found.fed_otherwise:,} "
        "by memories, multipliers and the like: each of these takes a LUT's position of its own.",
        f"{found.control_sets:,} control sets; {found.small_sets:,} have at most 8 registers, "
        f"{found.in_small_sets:,} together.",
        f"{found.enables:,} enables, the widest with {enables} loads.",
        f"{found.resets:,} resets, the widest with {resets} loads.",
        f"{found.inverters:,} inverters.",
    ]


def to_json(rows: Sequence[UnitTiming], found: Placing) -> str:
    """An object: `units`, a list of objects, and `placing`."""
    units = [dataclasses.asdict(row) for row in rows]
    return json.dumps({"units": units, "placing": dataclasses.asdict(found)}, indent=1)


def write_docs(rows: Sequence[UnitTiming], found: Placing, page: File = DOCS) -> None:
    """Brings the table of docs/timing.md up to date."""
    text = page.read_text()
    head, tail = text[: text.index(BEGIN)], text[text.index(END) :]
    columns = HEADER[:-2]
    lines = [" | ".join(columns), " | ".join(["---", *["---:"] * (len(columns) - 1)])]
    lines += [" | ".join(_cells(row)[: len(columns)]) for row in rows]
    with replaced_when_complete(page) as temporary:
        table = "\n".join(f"| {line} |" for line in lines)
        sentences = "\n".join(f"- {line}" for line in placing_lines(found))
        temporary.write_text(f"{head}{BEGIN}\n{table}\n\n{sentences}\n{tail}")
