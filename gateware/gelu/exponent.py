"""ShiftExp for arguments of either sign, as ShiftGELU needs it: a mantissa and a shift."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.delay import delayed

__all__ = ["SignedShiftExpLane"]

QUOTIENT_BITS = 5  # q <= n <= 23; larger ones are clamped
SCALED_BITS = 9  # 1.4375 * 255 rounded as the shifts round is at most 367


class SignedShiftExpLane(wiring.Component):
    """``exp = mantissa << shift``, exactly ``sim.reference.ShiftExp`` before its saturation.

    One argument a cycle, results after ``LATENCY`` cycles. The argument is divided by x0 with restoring steps; a
    positive one divides up instead of down, and has no clamp: its quotients from 2^5 on saturate anyway.

    Source: I-ViT, Algorithm 1.

    Parameters
    ----------
    n : int
        Powers of two before the argument is clamped, 8 to 23.
    x0_bits : int
        Bits of ``x0``, 1 to 8.

    Members
    -------
    x0 : In(x0_bits)
        ``|x0|``, at least 1; static while arguments are inside.
    magnitude : In(8)
        |x|.
    positive : In(1)
        x is not negative.
    mantissa : Out(x0_bits + 1), shift : Out(6)
    """

    LATENCY = 2 + QUOTIENT_BITS + 1

    def __init__(self, n: int, x0_bits: int) -> None:
        require_range("SignedShiftExpLane", "n", n, 8, 23)
        require_range("SignedShiftExpLane", "x0_bits", x0_bits, 1, 8)
        self.n, self.x0_bits = n, x0_bits
        super().__init__(
            {
                "x0": In(x0_bits),
                "magnitude": In(8),
                "positive": In(1),
                "mantissa": Out(x0_bits + 1),
                "shift": Out(6),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        # |x + (x >> 1) - (x >> 4)|: the shifts of a negative number round its magnitude up.
        whole = Signal(SCALED_BITS, reset_less=True)
        sixteenth = Signal(5, reset_less=True)
        scaled = Signal(SCALED_BITS, reset_less=True)
        up = ~self.positive
        m.d.sync += [
            whole.eq(self.magnitude + ((self.magnitude + up) >> 1)),
            sixteenth.eq((self.magnitude + Mux(up, 15, 0)) >> 4),
            scaled.eq(whole - sixteenth),
        ]
        positive = delayed(m, self.positive, 2 + QUOTIENT_BITS, "positive")
        remainder, digits = scaled, Const(0, 0)
        for bit in reversed(range(QUOTIENT_BITS)):
            difference = Signal(SCALED_BITS + self.x0_bits + QUOTIENT_BITS, name=f"difference_{bit}")
            m.d.comb += difference.eq(remainder - (self.x0 << bit))
            goes = ~difference[-1]
            following = Signal(SCALED_BITS, name=f"remainder_{bit}", reset_less=True)
            quotient = Signal(QUOTIENT_BITS - bit, name=f"quotient_{bit}", reset_less=True)
            m.d.sync += [
                following.eq(Mux(goes, difference, remainder)),
                quotient.eq(Cat(goes, digits)),
            ]
            remainder, digits = following, quotient
        double = Cat(Const(0, 1), self.x0)
        clamped, exact = Signal(), Signal()
        m.d.comb += [clamped.eq(~positive & (digits >= self.n)), exact.eq(remainder == 0)]
        # The value is (M << s) >> 1: one less in the shift, except where that is 0 already (M is even there).
        with m.If(clamped):
            m.d.sync += [self.mantissa.eq(self.x0), self.shift.eq(0)]
        with m.Elif(positive):
            m.d.sync += [
                self.mantissa.eq(Mux(exact, double, self.x0 + remainder)),
                self.shift.eq(self.n - 1 + digits + ~exact),
            ]
        with m.Else():
            m.d.sync += [self.mantissa.eq(double - remainder), self.shift.eq(self.n - 1 - digits)]
        return m
