"""Delays of an xc7's cells at speed grade -1, and how long a wire is taken to be. Nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

__all__ = [
    "BLOCK_RAM",
    "CARRY",
    "DSP",
    "GLOBAL_BUFFER",
    "GLOBAL_WIRE",
    "LUT_DELAY",
    "LUT_RAM",
    "MUX_DELAY",
    "REGISTER",
    "SERDES",
    "SHIFT_REGISTER",
    "Registered",
    "Wires",
]

LUT_DELAY = 0.124
GLOBAL_BUFFER, GLOBAL_WIRE = 0.12, 1.7
"""A global buffer, and the wire from it to any slice (a guess)."""
MUX_DELAY = {"MUXF7": 0.247, "MUXF8": 0.098}


@dataclass(frozen=True)
class Registered:
    """Times of a clocked cell: from the clock to its outputs, and how long before the clock an input must stand.

    Parameters
    ----------
    out : clock to output
    setup : of inputs that `pins` does not name
    pins : setup by the start of an input's name, longest start first
    """

    out: float
    setup: float
    pins: tuple[tuple[str, float], ...] = ()

    def before(self, pin: str) -> float:
        """Setup of an input."""
        return next((time for start, time in self.pins if pin.startswith(start)), self.setup)


REGISTER = Registered(0.456, 0.07, (("CE", 0.205), ("R", 0.524), ("S", 0.524), ("CLR", 0.405), ("PRE", 0.405)))
SHIFT_REGISTER = Registered(1.628, 0.07, (("CE", 0.408),))
LUT_RAM = Registered(1.314, 0.45, (("WE", 0.533),))
_BLOCK_RAM_PINS = (("DI", 0.737), ("WE", 0.532), ("EN", 0.443), ("REGCE", 0.36), ("RST", 0.36))
BLOCK_RAM = {False: Registered(2.454, 0.566, _BLOCK_RAM_PINS), True: Registered(0.882, 0.566, _BLOCK_RAM_PINS)}
"""By whether the output register is in use."""
SERDES = Registered(0.65, 0.5)
"""A serialiser, deserialiser or delay line in a pin, as its slow clock sees it."""


class CARRY:
    """A chain of four bits: into it, along it, out of it."""

    ENTER_CARRY = 0.532  # S, DI or CYINIT to any later CO
    ENTER_SUM = 0.606  # S, DI or CYINIT to any O
    ALONG = 0.114  # CI to CO
    LEAVE = 0.334  # CI to O


class DSP:
    """A DSP48E1, by the registers that its parameters put in."""

    TO_INPUT_REGISTER = 0.51
    TO_PRE_ADDER_REGISTER = 2.0
    TO_PRODUCT_REGISTER = 3.66
    TO_RESULT_FROM_PRODUCT_INPUT = 5.89
    TO_RESULT_FROM_C = 2.11
    TO_RESULT_FROM_CASCADE = 1.64
    CONTROL = 0.55
    OUT = 0.45
    OUT_OF_PRODUCT_REGISTER = 2.31
    OUT_OF_INPUT_REGISTER = 5.4
    THROUGH_ADDER = 1.84


@dataclass(frozen=True)
class Wires:
    """How long a wire takes: `base`, and for more than one load 0.1 for each doubling of them, at most `most`.

    Parameters
    ----------
    base : of a net with one load
    most : what loads can add
    """

    base: float = 0.6
    most: float = 1.2

    def delay(self, loads: int) -> float:
        """Of a net with so many loads."""
        return self.base + min(self.most, 0.1 * log2(max(loads, 1)))
