"""What a variant's unit takes on an FPGA."""

from __future__ import annotations

from dataclasses import dataclass

from gateware.config import config
from hw.units.registry import BOARDS, UNITS
from hw.units.synthesis import route, synthesise
from sim.reference.arithmetic import Arithmetic

__all__ = ["UnitCost", "unit_cost"]

PARTS = ("xc7", "ecp5")


@dataclass(frozen=True)
class UnitCost:
    """Cells of a unit on a part (`hw.units`), and on ecp5 the highest clock in MHz where it was routed."""

    unit: str
    part: str
    lut: int
    ff: int
    dsp: int
    block_ram: float
    fmax: float | None


def unit_cost(unit: str, part: str, arithmetic: Arithmetic, fmax: bool) -> UnitCost:
    """Synthesises (and routes, on ecp5 with `fmax`) the unit that an arithmetic makes of the part's board.

    The tools' results are kept by `hw.units` under the netlist's content.

    Raises
    ------
    UnitsError : a tool is missing or failed
    """
    machine = config(BOARDS[part]).with_arithmetic(arithmetic)
    found = synthesise(UNITS[unit].make(machine), part)
    clock = route(UNITS[unit].make(machine)) if fmax and part == "ecp5" else None
    return UnitCost(unit, part, found.lut, found.ff, found.dsp, found.block_ram, clock)
