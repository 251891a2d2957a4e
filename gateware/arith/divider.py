"""A serial divider for reciprocals: the quotient of a constant and a run-time divisor, one bit a cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from gateware.arith.checks import require_range
from gateware.contracts import require

__all__ = ["ReciprocalDivider"]


class ReciprocalDivider(wiring.Component):
    """``(2^numerator_bits - 1) // divisor``, exactly, without restoring steps.

    Only ``quotient_bits`` bits of the quotient are computed. The user must make sure that it fits, which means
    ``divisor >= 2^(numerator_bits - quotient_bits)``. A smaller divisor gives a wrong quotient, in the same time, and
    does no other harm.

    Latency: ``quotient_bits + 1`` cycles from a divisor's transfer to the quotient's valid. Throughput: one division
    in ``quotient_bits + 1`` cycles if the quotient is taken at once. Size: about one LUT a divisor bit.

    Parameters
    ----------
    numerator_bits : int
        31 for the reciprocals ``(2^31 - 1) // s`` of I-ViT's Shiftmax, ShiftGELU and I-LayerNorm.
    divisor_bits : int
        At least ``numerator_bits - quotient_bits + 1``, or no divisor would keep the promise.
    quotient_bits : int
        At least 1, at most ``numerator_bits``.

    Members
    -------
    i : In(stream, divisor_bits)
        The divisor.
    o : Out(stream, quotient_bits)
        The quotient.

    Raises
    ------
    ValueError
        For a width out of range.
    """

    def __init__(self, numerator_bits: int, divisor_bits: int, quotient_bits: int) -> None:
        require_range("ReciprocalDivider", "numerator_bits", numerator_bits, 1)
        require_range("ReciprocalDivider", "quotient_bits", quotient_bits, 1, numerator_bits)
        require_range("ReciprocalDivider", "divisor_bits", divisor_bits, numerator_bits - quotient_bits + 1)
        self.numerator_bits = numerator_bits
        self.divisor_bits = divisor_bits
        self.quotient_bits = quotient_bits
        super().__init__({"i": In(stream.Signature(divisor_bits)), "o": Out(stream.Signature(quotient_bits))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        divisor = Signal(self.divisor_bits, reset_less=True)
        # In [-divisor, divisor): negative where the last subtraction went too far, which the next step makes good.
        remainder = Signal(self.divisor_bits + 1, reset_less=True)
        following = Signal(self.divisor_bits + 1)
        negative = remainder[-1]
        # Quotient bits enter at the bottom; the one above them, set at the start, reaches the top with the last bit.
        quotient = Signal(self.quotient_bits + 1, reset_less=True)
        busy, valid = Signal(), Signal()

        # 2 * remainder + 1 -+ divisor; the bit below brings the carry that makes a complement a negation.
        addend = Mux(negative, Cat(divisor, Const(0, 1)), ~Cat(divisor, Const(0, 1)))
        m.d.comb += following.eq((Cat(~negative, Const(1, 1), remainder[:-1]) + Cat(~negative, addend))[1:])
        m.d.comb += [
            self.i.ready.eq(~busy & (~valid | self.o.ready)),
            self.o.valid.eq(valid),
            self.o.payload.eq(quotient[:-1]),
        ]
        taken = self.i.valid & self.i.ready
        least = 1 << (self.numerator_bits - self.quotient_bits)
        require(m, platform, self, "the quotient fits its bits", ~taken | (self.i.payload >= least))
        with m.If(self.o.ready):
            m.d.sync += valid.eq(0)
        with m.If(busy):
            m.d.sync += [remainder.eq(following), quotient.eq(Cat(~following[-1], quotient[:-1]))]
            with m.If(quotient[-2]):
                m.d.sync += [busy.eq(0), valid.eq(1)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [
                divisor.eq(self.i.payload),
                remainder.eq((1 << (self.numerator_bits - self.quotient_bits)) - 1),
                quotient.eq(1),
                busy.eq(1),
            ]
        return m
