"""What a variant's unit takes on an FPGA."""

from __future__ import annotations

from dataclasses import dataclass

from amaranth.lib import wiring

from gateware.config import AcceleratorConfig, config
from gateware.softmax.shiftmax import Shiftmax
from hw.units.registry import BOARDS, UNITS
from hw.units.synthesis import route, synthesise
from sim.reference.arithmetic import Arithmetic

__all__ = ["UnitCost", "unit_cost", "unit_parts"]


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


def unit_parts(unit: str) -> tuple[str, ...]:
    """The parts that a unit is meant for."""
    return UNITS[unit].parts


def unit_cost(unit: str, part: str, arithmetic: Arithmetic, fmax: bool) -> UnitCost:
    """Synthesises (and routes, on ecp5 with `fmax`) the unit that an arithmetic makes of the part's board.

    The tools' results are kept by `hw.units` under the netlist's content.

    Raises
    ------
    UnitsError : a tool is missing or failed
    ConfigError : the unit cannot be made for the arithmetic
    """
    found = synthesise(_unit(unit, part, arithmetic), part)
    clock = route(_unit(unit, part, arithmetic)) if fmax and part == "ecp5" else None
    return UnitCost(unit, part, found.lut, found.ff, found.dsp, found.block_ram, clock)


def _unit(unit: str, part: str, arithmetic: Arithmetic) -> wiring.Component:
    machine = config(BOARDS[part])
    if unit == "shiftmax" and arithmetic.softmax_bits is not None:
        return _shiftmax_alone(machine, arithmetic, arithmetic.softmax_bits)
    return UNITS[unit].make(machine.with_arithmetic(arithmetic))


def _shiftmax_alone(machine: AcceleratorConfig, arithmetic: Arithmetic, bits: int) -> wiring.Component:
    """Shiftmax has widths that the machine around it has not."""
    return Shiftmax(machine.rows, machine.softmax_length, arithmetic, bits, machine.softmax_x0_bits)
