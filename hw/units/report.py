"""Measures units, and writes tables of them: for a terminal, a pipe, JSON, or docs/units.md."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gateware.config import ConfigError, config
from hw.units.cycles import DEIT_TINY, array_cycles
from hw.units.errors import UnitsError
from hw.units.registry import BOARDS, UNITS, select
from hw.units.statistics import Resources
from hw.units.synthesis import longest_path, route, synthesise

__all__ = ["ARITHMETICS", "DOCS", "Measurement", "measure", "print_table", "to_json", "write_docs"]

DOCS = Path(__file__).resolve().parents[2] / "docs" / "units.md"
ARITHMETICS = ("lean", "official")
HEADER = ("unit", "part", "arithmetic", "LUT", "FF", "DSP", "block RAM", "Fmax, MHz", "longest path, ns")
DSP_OF_35T = 90


@dataclass(frozen=True)
class Measurement:
    """What one unit takes on one part.

    ``fmax_mhz`` is None where it was not placed and routed, ``path_ns``, the estimate of `hw.timing`, but on xc7.
    """

    unit: str
    part: str
    arithmetic: str
    resources: Resources
    fmax_mhz: float | None = None
    path_ns: float | None = None

    def cells(self) -> tuple[str, ...]:
        """A row under ``HEADER``."""
        r = self.resources
        fmax = "" if self.fmax_mhz is None else f"{self.fmax_mhz:.0f}"
        path = "" if self.path_ns is None else f"{self.path_ns:.2f}"
        figures = (f"{r.lut:,}", f"{r.ff:,}", str(r.dsp), f"{r.block_ram:g}", fmax, path)
        return (self.unit, self.part, self.arithmetic, *figures)


def measure(units: Sequence[str], part: str | None, arithmetic: str, fmax: bool) -> Iterator[Measurement]:
    """Measure units one by one, in the registry's order if none is named; ``fmax``: place and route those on ECP5.

    Raises UnitsError for an unknown unit, part or arithmetic, and when a tool fails.
    """
    for board in BOARDS.values():
        try:
            config(board, arithmetic)
        except ConfigError as error:
            raise UnitsError(f"{board}: {error}") from error
    if fmax and part == "xc7":
        raise UnitsError("there is no place and route for xc7 among the packages; leave out --fmax or choose ecp5")
    return _measure(select(list(units), part), arithmetic, fmax)


def _measure(chosen: Sequence[tuple[str, str]], arithmetic: str, fmax: bool) -> Iterator[Measurement]:
    for name, part in chosen:
        settings = config(BOARDS[part], arithmetic)
        make = UNITS[name].make
        clock = route(make(settings)) if fmax and part == "ecp5" else None
        resources = synthesise(make(settings), part)
        path = longest_path(make(settings)) if part == "xc7" else None
        yield Measurement(name, part, arithmetic, resources, clock, path)


def print_table(rows: Sequence[Measurement], console: Console) -> None:
    """A table on a terminal; on a pipe, columns separated by tabs."""
    if not console.is_terminal:
        for line in (HEADER, *(row.cells() for row in rows)):
            print("\t".join(line), file=console.file)
        return
    table = Table(*HEADER[:3])
    for title in HEADER[3:]:
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(*row.cells())
    console.print(table)


def to_json(rows: Sequence[Measurement]) -> str:
    """A list of objects, one a measurement."""
    return json.dumps([dataclasses.asdict(row) for row in rows], indent=2)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> str:
    """A table whose columns from ``right`` on are aligned to the right."""
    rule = ["---" if column < right else "---:" for column in range(len(header))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def _array_rows(name: str) -> int:
    return int(name.removeprefix("array_").split("x")[0])


def _together(rows: Sequence[Measurement]) -> str:
    """What all units but the arrays take together on xc7."""
    lines = []
    for arithmetic in ARITHMETICS:
        here = [row for row in rows if row.part == "xc7" and row.arithmetic == arithmetic]
        others = [row for row in here if not UNITS[row.unit].array]
        lines.append(
            f"- {arithmetic}: {sum(row.resources.lut for row in others):,} LUTs, "
            f"{sum(row.resources.dsp for row in others)} DSPs, "
            f"{sum(row.resources.block_ram for row in others):g} block RAMs on xc7."
        )
    return "\n".join(lines)


def _candidates(rows: Sequence[Measurement]) -> tuple[str, str]:
    """The arrays for the 35T compared: a table, and the verdict."""
    table, verdicts = [], []
    for arithmetic in ARITHMETICS:
        settings = config(BOARDS["xc7"], arithmetic)
        here = [row for row in rows if row.part == "xc7" and row.arithmetic == arithmetic]
        others = sum(row.resources.dsp for row in here if not UNITS[row.unit].array)
        found = []
        for row in here:
            if UNITS[row.unit].array:
                cycles = array_cycles(DEIT_TINY, _array_rows(row.unit), settings.probability_bits)
                rate = settings.clock_mhz * 1e6 / cycles
                needed = row.resources.dsp + others
                found.append((cycles, row, needed))
                table.append(
                    (row.unit, arithmetic, str(row.resources.dsp), f"{row.resources.lut:,}", f"{cycles / 1e6:.2f} M",
                     f"{rate:.1f}", f"{needed} of {DSP_OF_35T}")
                )  # fmt: skip
        (fast, winner, needed), (slow, loser, _) = sorted(found, key=lambda entry: entry[0])
        fits = "fits" if needed <= DSP_OF_35T else f"does not fit as the other units are ({others} DSPs)"
        verdicts.append(
            f"{arithmetic}: {winner.unit} is {slow / fast - 1:.1%} faster than {loser.unit} for "
            f"{winner.resources.dsp - loser.resources.dsp} DSPs and {winner.resources.lut - loser.resources.lut} LUTs "
            f"more, and {fits}."
        )
    header = (
        "array",
        "arithmetic",
        "DSP",
        "LUT",
        "cycles a DeiT-T frame",
        "frames a second at most",
        "DSPs of all units",
    )
    return _markdown(header, table, 2), "\n".join(f"- {verdict}" for verdict in verdicts)


def write_docs(rows: Sequence[Measurement], path: Path = DOCS) -> None:
    """Rewrite docs/units.md from measurements of all units, in both arithmetics on xc7 and in lean on ecp5."""
    candidates, verdict = _candidates(rows)
    path.write_text(
        f"""# Units alone

`python -m hw.units --docs` wrote this page. `python -m hw.units UNIT` measures one unit, `--help` says how else.

Each unit is synthesised by itself, with the sizes of the board its part stands for (xc7: `{BOARDS["xc7"]}`, ecp5:
`{BOARDS["ecp5"]}`), on xc7 in both arithmetics. LUTs are those of the netlist, before packing, which may merge small
ones; memories and shift registers in LUTs count, and on ecp5 carry chains too. A block RAM is 36 kbit on xc7 and
18 kbit on ecp5. Fmax is nextpnr's, on an LFE5U-85F of speed grade 6, with every port in registers: a shift register
feeds the inputs, and the registered outputs are folded into a chain. It is the unit's with room around it, not in a
full machine. The longest path, on xc7, is the estimate of [hw.timing](timing.md), from register to register. The tools'
choices hang on names, too: one netlist under other names took 0.9% more LUTs on ecp5 and was
7 MHz slower (the postprocessor), or took as many and was 10 MHz slower (ShiftGELU).

{_markdown(HEADER, [row.cells() for row in rows], 3)}

All of these but the arrays together:

{_together(rows)}

## Which array on the 35T

The XC7A35T has {DSP_OF_35T} DSP blocks. The cycles are those in which the array multiplies, tiles of the edge counted
in full, as if it never waited; with 16-bit probabilities (official) the product A V takes twice as long.

{candidates}

{verdict}
"""
    )
