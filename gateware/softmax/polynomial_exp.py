"""One lane of I-BERT's exponential for non-positive arguments: a division, a square and an addition."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.delay import delayed
from gateware.arith.multiplier import Multiplier
from gateware.arith.polynomial_constants import constants_layout
from gateware.arith.shiftexp import ARGUMENT_BITS, QUOTIENT_BITS
from sim.reference.polynomial_exp import MANTISSA_SHIFT, STEP_BITS

__all__ = ["PolynomialExpLane"]

DISTANCE_BITS = STEP_BITS + QUOTIENT_BITS  # of the largest distance that is not clamped, 15 ln 2, with room above


class PolynomialExpLane(wiring.Component):
    """``(mantissa, shift)`` of the exponential of ``x <= 0``, so that it is ``(mantissa << shift) >> 1``.

    The argument is scaled to a grid on which ln 2 has 8 bits, and divided by ln 2 in four restoring steps. The
    polynomial is applied to the remainder. One argument a cycle, results after `LATENCY` cycles.

    Source: I-BERT, Algorithm 2; `sim.reference.PolynomialExp.mantissa_shift`.

    Parameters
    ----------
    n : int
        Powers of two before the argument is clamped, 8 to 15.
    x0_bits : int
        Bits of the scale's |x0|, 1 to 13: how far arguments move down.

    Members
    -------
    constants : In(constants_layout)
        Static while arguments are inside.
    x : In(signed(9))
        The argument, -255 to 0.
    clamped : In(1)
        Ignore ``x``: the result is that of the clamp.
    zero : In(1)
        The result is ``mantissa`` 0; goes before ``clamped``.
    mantissa : Out(9)
    shift : Out(4)
        0 to n.

    Raises
    ------
    ValueError
        For a parameter out of range.
    """

    MANTISSA_BITS = 9
    SQUARE_LATENCY = 3
    LATENCY = 3 + QUOTIENT_BITS + 1 + SQUARE_LATENCY + 1

    def __init__(self, n: int = 15, x0_bits: int = 10) -> None:
        require_range("PolynomialExpLane", "n", n, 8, 15)
        require_range("PolynomialExpLane", "x0_bits", x0_bits, 1, 13)
        self.n, self.x0_bits = n, x0_bits
        self.square = Multiplier(STEP_BITS + 1, STEP_BITS + 1, False, False)
        assert self.square.latency == self.SQUARE_LATENCY
        super().__init__(
            {
                "constants": In(constants_layout()),
                "x": In(signed(ARGUMENT_BITS)),
                "clamped": In(1),
                "zero": In(1),
                "mantissa": Out(self.MANTISSA_BITS),
                "shift": Out(QUOTIENT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.square = square = self.square
        down = max(self.x0_bits - STEP_BITS, 0)

        # |x|, then up by 4 times the upper bits of the amount and by the lower ones; the largest amount is 7 + down.
        magnitude = Signal(ARGUMENT_BITS - 1, reset_less=True)
        amount = Signal(4, reset_less=True)
        coarse = Signal(ARGUMENT_BITS - 1 + 12, reset_less=True)
        fine = Signal(2, reset_less=True)
        moved = Signal(ARGUMENT_BITS - 1 + 12 + 3)
        distance = Signal(DISTANCE_BITS, reset_less=True)
        m.d.sync += [
            magnitude.eq(-self.x),
            amount.eq(self.constants.shift + down),
            coarse.eq(Array([magnitude << (4 * step) for step in range(4)])[amount[2:]]),
            fine.eq(amount[:2]),
        ]
        m.d.comb += moved.eq(coarse << fine)
        upper = moved[down + DISTANCE_BITS :]
        m.d.sync += distance.eq(Mux(upper.any(), Const((1 << DISTANCE_BITS) - 1), moved[down:]))
        flags = delayed(m, Cat(self.clamped, self.zero), 3 + QUOTIENT_BITS, "flags")

        remainder: Value = distance
        quotient: Value = Const(0, 0)
        for bit in reversed(range(QUOTIENT_BITS)):
            difference = Signal(signed(DISTANCE_BITS + 1), name=f"difference_{bit}")
            following = Signal(DISTANCE_BITS, name=f"remainder_{bit}", reset_less=True)
            digits = Signal(QUOTIENT_BITS - bit, name=f"quotient_{bit}", reset_less=True)
            m.d.comb += difference.eq(remainder - (self.constants.ln2 << bit))
            goes = difference >= 0
            m.d.sync += [following.eq(Mux(goes, difference, remainder)), digits.eq(Cat(goes, quotient))]
            remainder, quotient = following, digits

        # (b - r)^2 + c/a; where the argument is clamped, r is 0.
        clamped = Signal()
        root = Signal(STEP_BITS + 1, reset_less=True)
        places = Signal(QUOTIENT_BITS, reset_less=True)
        zero = Signal(reset_less=True)
        m.d.comb += clamped.eq(flags[0] | (quotient >= self.n))
        m.d.sync += [
            root.eq(self.constants.offset - Mux(clamped, 0, remainder[:STEP_BITS])),
            places.eq(Mux(clamped, 0, self.n - quotient)),
            zero.eq(flags[1]),
        ]
        late = delayed(m, Cat(places, zero), self.SQUARE_LATENCY, "late")
        total = Signal(2 * (STEP_BITS + 1) + 1)
        m.d.comb += [square.a.eq(root), square.b.eq(root), total.eq(square.p + self.constants.constant)]
        value = total[MANTISSA_SHIFT : MANTISSA_SHIFT + self.MANTISSA_BITS]
        shift = late[:QUOTIENT_BITS]
        m.d.sync += [
            self.mantissa.eq(Mux(late[-1], 0, Cat(value[0] & shift.any(), value[1:]))),
            self.shift.eq(shift),
        ]
        return m
