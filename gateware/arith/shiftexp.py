"""One lane of ShiftExp for non-positive arguments, without multiplier or table."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.arith.delay import delayed

__all__ = ["ShiftExpLane"]

QUOTIENT_BITS = 4  # q <= n <= 15
ARGUMENT_BITS = 9  # a difference of two int8
SCALED_BITS = 10  # 1.4375 * -255 rounded as the shifts round is -367, and the lane counts from -1


class ShiftExpLane(wiring.Component):
    """``(mantissa, shift)`` of the exponential of ``x <= 0``, so that it is ``(mantissa << shift) >> 1``.

    A short non-restoring division. Its quotient has four bits, because the argument is clamped at ``n`` powers of two.
    One argument a cycle; the result follows after `LATENCY` cycles. ``x0`` must not change while arguments are inside.

    Source: I-ViT, Algorithm 1; `sim.reference.ShiftExp.mantissa_shift` with ``step = x0``.

    Parameters
    ----------
    n : int
        Powers of two before the argument is clamped, 8 to 15.
    x0_bits : int
        Bits of ``x0``, 1 to 16.
    half_first : bool
        The paper's literal order: r/2 before the shift.

    Members
    -------
    x0 : In(x0_bits)
        ``|x0|``, at least 1.
    x : In(signed(9))
        The argument, -255 to 0.
    clamped : In(1)
        Ignore ``x``: the result is that of the clamp, ``(2 * x0, 0)``.
    zero : In(1)
        The result is ``mantissa`` 0; goes before ``clamped``.
    mantissa : Out(x0_bits + 1)
    shift : Out(4)
        0 to n.

    Raises
    ------
    ValueError
        For a parameter out of range.
    """

    LATENCY = 7

    def __init__(self, n: int = 15, x0_bits: int = 10, half_first: bool = False) -> None:
        require_range("ShiftExpLane", "n", n, 8, 15)
        require_range("ShiftExpLane", "x0_bits", x0_bits, 1, 16)
        self.n, self.x0_bits, self.half_first = n, x0_bits, half_first
        super().__init__(
            {
                "x0": In(x0_bits),
                "x": In(signed(ARGUMENT_BITS)),
                "clamped": In(1),
                "zero": In(1),
                "mantissa": Out(x0_bits + 1),
                "shift": Out(QUOTIENT_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        flags = delayed(m, Cat(self.clamped, self.zero), self.LATENCY - 1, "flags")

        # p = x + (x >> 1) - (x >> 4). What is divided is p - 1 = -u - 1 = ~u with u = -p: its sign says u >= 0.
        sum_x = Signal(signed(SCALED_BITS), reset_less=True)
        sixteenth = Signal(signed(ARGUMENT_BITS - 4), reset_less=True)
        scaled = Signal(signed(SCALED_BITS), reset_less=True)
        m.d.sync += [sum_x.eq(self.x + (self.x >> 1)), sixteenth.eq(self.x >> 4), scaled.eq(sum_x + ~sixteenth)]

        remainder, quotient = scaled, Const(0, 0)
        for bit in reversed(range(QUOTIENT_BITS)):
            following = Signal(
                signed(max(SCALED_BITS, self.x0_bits + bit + 1)), name=f"remainder_{bit}", reset_less=True
            )
            m.d.sync += following.eq(self._step(remainder, self.x0, bit))
            if bit < QUOTIENT_BITS - 1:
                digits = Signal(QUOTIENT_BITS - 1 - bit, name=f"quotient_{bit}", reset_less=True)
                m.d.sync += digits.eq(Cat(remainder[-1], quotient))
                quotient = digits
            remainder = following
        quotient = Cat(remainder[-1], quotient)

        # mantissa = 2 * x0 - r. A last step too far leaves -(r - x0) - 1.
        whole = Cat(Const(0, 1), self.x0)
        exact = Signal(self.x0_bits + 1)
        clamped = Signal()
        m.d.comb += [
            clamped.eq(flags[0] | (quotient >= self.n)),
            exact.eq(
                (Cat(Const(1, 1), remainder).as_signed() + Cat(Const(1, 1), Mux(remainder[-1], whole, self.x0)))[1:]
            ),
        ]
        rounded = Cat(Const(0, 1), exact[1:]) if self.half_first else exact
        m.d.sync += [
            self.mantissa.eq(Mux(flags[1], 0, Mux(clamped, whole, rounded))),
            self.shift.eq(Mux(clamped, 0, self.n - quotient)),
        ]
        return m

    @staticmethod
    def _step(remainder: Value, divisor: Value, bit: int) -> Value:
        """One quotient bit: the remainder towards zero by ``divisor << bit``; the first step knows the sign."""
        upper = remainder[bit:].as_signed()
        if bit == QUOTIENT_BITS - 1:
            return Cat(remainder[:bit], upper + divisor).as_signed()
        subtract = ~remainder[-1]
        positive = Cat(divisor, Const(0, 1))
        addend = Mux(subtract, ~positive, positive).as_signed()
        # The bit below brings the carry that makes a complement a negation.
        total = Cat(subtract, upper).as_signed() + Cat(subtract, addend).as_signed()
        return Cat(remainder[:bit], total[1:]).as_signed()
