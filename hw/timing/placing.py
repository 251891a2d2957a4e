"""What makes a netlist hard to place on an xc7: registers that find no LUT to sit behind, control sets, wide resets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from hw.toolchains.netlist import Cell, FlatNetlist

__all__ = ["Placing", "placing"]

RESETS = {"FDRE": "R", "FDSE": "S", "FDCE": "CLR", "FDPE": "PRE"}
BEFORE_A_REGISTER = ("LUT", "CARRY4", "MUXF", "INV")
SMALL_SET = 8  # registers of a slice


@dataclass(frozen=True)
class Placing:
    """Counts of a netlist.

    Parameters
    ----------
    registers : all of them
    fed_by_registers : whose data come straight from a register; each takes a LUT position's bypass
    fed_otherwise : whose data come from memories, multipliers, shift registers or pins; likewise
    control_sets : of clock, enable and reset, of which a slice has one
    small_sets, in_small_sets : those with at most 8 registers, and how many registers these have together
    enables, resets : nets
    widest_enables, widest_resets : loads of the five with the most
    inverters : cells
    """

    registers: int
    fed_by_registers: int
    fed_otherwise: int
    control_sets: int
    small_sets: int
    in_small_sets: int
    enables: int
    resets: int
    widest_enables: tuple[int, ...]
    widest_resets: tuple[int, ...]
    inverters: int


def placing(netlist: FlatNetlist) -> Placing:
    """Of an xc7's cells."""
    registers = [cell for cell in netlist.cells.values() if cell["type"] in RESETS]
    fed = Counter(_feeder(netlist.cells, netlist.drivers, cell) for cell in registers)
    sets = Counter(tuple(map(str, (_net(cell, "C"), _net(cell, "CE"), _net(cell, _reset(cell))))) for cell in registers)
    small = [number for number in sets.values() if number <= SMALL_SET]
    enables = Counter(net for cell in registers if isinstance(net := _net(cell, "CE"), int))
    resets = Counter(net for cell in registers if isinstance(net := _net(cell, _reset(cell)), int))
    return Placing(
        registers=len(registers),
        fed_by_registers=fed["register"],
        fed_otherwise=fed["other"],
        control_sets=len(sets),
        small_sets=len(small),
        in_small_sets=sum(small),
        enables=len(enables),
        resets=len(resets),
        widest_enables=tuple(number for _, number in enables.most_common(5)),
        widest_resets=tuple(number for _, number in resets.most_common(5)),
        inverters=sum(cell["type"] == "INV" for cell in netlist.cells.values()),
    )


def _reset(cell: Cell) -> str:
    return RESETS[cell["type"]]


def _net(cell: Cell, port: str) -> int | str:
    bits = cell["connections"].get(port, ["-"])
    net: int | str = bits[0]
    return net


def _feeder(cells: Mapping[str, Cell], drivers: Mapping[int, str], cell: Cell) -> str:
    """ "register", "logic" or "other": what drives a register's data."""
    source = drivers.get(net) if isinstance(net := _net(cell, "D"), int) else None
    if source is None:
        return "other"
    kind = cells[source]["type"]
    if kind in RESETS:
        return "register"
    return "logic" if kind.startswith(BEFORE_A_REGISTER) else "other"
