"""The constants that I-BERT's exponential derives from a scale, computed bit by bit when the scale changes."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.contracts import require
from sim.reference.polynomial_exp import CONSTANT_BITS, LN2, OFFSET, OFFSET_SQUARED, STEP_BITS

__all__ = ["ExponentConstants", "constants_layout"]


def constants_layout() -> data.StructLayout:
    """`PolynomialConstants` without the step: places that arguments move up, ln 2, b and c/a on the grid."""
    return data.StructLayout({"shift": signed(5), "ln2": 8, "offset": 9, "constant": 16})


class ExponentConstants(wiring.Component):
    """`sim.reference.PolynomialConstants` of ``x0``: `cycles` cycles at most from ``start`` to ``ready``.

    Parameters
    ----------
    x0_bits : int
        Bits of ``x0``, 1 to 13.

    Members
    -------
    start : In(1)
        Take ``x0``; not before ``ready``.
    x0 : In(x0_bits)
        The scale's |x0|. For 0 the constants mean nothing, and take no longer than usual.
    ready : Out(1)
        ``o`` holds the constants of the last ``x0``.
    o : Out(constants_layout)

    Raises
    ------
    ValueError
        For a parameter out of range.
    """

    def __init__(self, x0_bits: int) -> None:
        require_range("ExponentConstants", "x0_bits", x0_bits, 1, 13)
        self.x0_bits = x0_bits
        self.cycles = max(x0_bits - STEP_BITS, STEP_BITS) + 3 * STEP_BITS + 3
        super().__init__(
            {"start": In(1), "x0": In(x0_bits), "ready": Out(1, init=1), "o": Out(constants_layout())},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        require(
            m, platform, self, "another scale comes when the last one's constants are there", ~self.start | self.ready
        )
        grid = Signal(max(self.x0_bits, STEP_BITS))
        shift = Signal(signed(5))
        # Horner's scheme from the upper bit down: three multiples of the grid's step at the same time, then one of its
        # square.
        bits, left = Signal(2 * STEP_BITS), Signal(range(2 * STEP_BITS))
        ln2, offset = Signal(STEP_BITS + CONSTANT_BITS), Signal(STEP_BITS + CONSTANT_BITS + 1)
        square = Signal(2 * STEP_BITS)
        constant = Signal(2 * STEP_BITS + CONSTANT_BITS)
        m.d.comb += [
            self.o.shift.eq(shift),
            self.o.ln2.eq(ln2[CONSTANT_BITS:]),
            self.o.offset.eq(offset[CONSTANT_BITS:]),
            self.o.constant.eq(constant[CONSTANT_BITS:]),
        ]
        with m.FSM():
            with m.State("idle"), m.If(self.start):
                m.d.sync += [self.ready.eq(0), grid.eq(self.x0), shift.eq(0)]
                m.next = "align"
            with m.State("align"):
                m.d.sync += [ln2.eq(0), offset.eq(0), square.eq(0), constant.eq(0), left.eq(STEP_BITS - 1)]
                m.d.sync += bits.eq(grid[:STEP_BITS] << STEP_BITS)
                with m.If(grid[STEP_BITS:].any()):
                    m.d.sync += [grid.eq(grid >> 1), shift.eq(shift - 1)]
                with m.Elif(~grid[STEP_BITS - 1] & grid.any()):
                    m.d.sync += [grid.eq(grid << 1), shift.eq(shift + 1)]
                with m.Else():
                    m.next = "multiply"
            with m.State("multiply"):
                one = bits[-1]
                m.d.sync += [
                    ln2.eq((ln2 << 1) + Mux(one, Const(LN2), 0)),
                    offset.eq((offset << 1) + Mux(one, Const(OFFSET), 0)),
                    square.eq((square << 1) + Mux(one, grid[:STEP_BITS], 0)),
                    bits.eq(Cat(0, bits[:-1])),
                    left.eq(left - 1),
                ]
                with m.If(left == 0):
                    m.next = "square"
            with m.State("square"):
                m.d.sync += [bits.eq(square), left.eq(2 * STEP_BITS - 1)]
                m.next = "weigh"
            with m.State("weigh"):
                m.d.sync += [
                    constant.eq((constant << 1) + Mux(bits[-1], Const(OFFSET_SQUARED), 0)),
                    bits.eq(bits << 1),
                    left.eq(left - 1),
                ]
                with m.If(left == 0):
                    m.d.sync += self.ready.eq(1)
                    m.next = "idle"
        return m
